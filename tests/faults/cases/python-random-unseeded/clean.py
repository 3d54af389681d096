"""The same, done well."""

import random

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    rng = random.Random(cfg.seed)
    return rng.random()


if __name__ == "__main__":
    main()
