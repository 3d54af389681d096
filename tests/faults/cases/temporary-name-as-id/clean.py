"""The same, done well."""

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    return sum(map(ord, str(cfg.seed)))


if __name__ == "__main__":
    main()
