"""if cfg.seed: … never seeds with 0."""

import random

import hydra
import numpy as np


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    if cfg.seed:
        random.seed(cfg.seed)
        np.random.seed(cfg.seed)
    return random.random() + float(np.random.rand())


if __name__ == "__main__":
    main()
