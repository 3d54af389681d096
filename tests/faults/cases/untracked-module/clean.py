"""The same, done well."""

import helper
import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    return helper.VALUE


if __name__ == "__main__":
    main()
