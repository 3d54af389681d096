"""Seeding from the clock."""

import random
import time

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    random.seed(time.time())  # <-
    return random.random()


if __name__ == "__main__":
    main()
