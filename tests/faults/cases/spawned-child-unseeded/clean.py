"""The same, done well."""

import multiprocessing

import hydra
import numpy as np


def draw(seed):
    return float(np.random.default_rng(seed).random())


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(draw, (cfg.seed,))


if __name__ == "__main__":
    main()
