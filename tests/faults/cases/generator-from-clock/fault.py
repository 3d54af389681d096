"""A generator seeded from the clock."""

import time

import hydra
import numpy as np


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    now = time.time_ns()  # <-
    return float(np.random.default_rng(now).random())


if __name__ == "__main__":
    main()
