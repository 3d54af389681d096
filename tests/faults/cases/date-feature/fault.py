"""A feature from today's date."""

import datetime

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    return datetime.datetime.now(datetime.timezone.utc).timetuple().tm_yday  # <-


if __name__ == "__main__":
    main()
