"""The same, done well."""

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    seen = [cfg.seed]
    return len(seen)


if __name__ == "__main__":
    main()
