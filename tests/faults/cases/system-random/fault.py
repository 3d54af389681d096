"""SystemRandom draws from the operating system."""

import random

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    return random.SystemRandom().random()  # <-


if __name__ == "__main__":
    main()
