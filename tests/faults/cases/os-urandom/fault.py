"""os.urandom as a seed."""

import os

import hydra
import numpy as np


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    seed = int.from_bytes(os.urandom(4), "little")  # <-
    return float(np.random.default_rng(seed).random())


if __name__ == "__main__":
    main()
