"""The same, done well."""

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    return cfg.seed


if __name__ == "__main__":
    main()
