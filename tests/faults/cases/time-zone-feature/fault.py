"""The hour of an event, in whatever zone the machine has."""

import datetime

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    return datetime.datetime.fromtimestamp(1_700_000_000).hour  # <-


if __name__ == "__main__":
    main()
