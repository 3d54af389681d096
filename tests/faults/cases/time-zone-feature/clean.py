"""The same, done well."""

import datetime

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    return datetime.datetime.fromtimestamp(1_700_000_000, datetime.timezone.utc).hour


if __name__ == "__main__":
    main()
