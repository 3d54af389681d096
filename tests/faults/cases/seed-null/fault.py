"""The template's seed: null."""

import random

import hydra
import numpy as np


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    if cfg.seed is not None:
        random.seed(cfg.seed)
    return random.random() + float(np.random.rand())


if __name__ == "__main__":
    main()
