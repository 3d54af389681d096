"""A child started by spawn draws without the run's seed."""

import multiprocessing

import hydra
import numpy as np


def draw():
    return float(np.random.rand())


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(draw)


if __name__ == "__main__":
    main()
