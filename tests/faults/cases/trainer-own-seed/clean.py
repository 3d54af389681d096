"""The same, done well."""

import random

import hydra
import numpy as np


class Arguments:
    def __init__(self, seed=42):
        self.seed = seed


class Trainer:
    def __init__(self, args):
        self.args = args

    def train(self):
        random.seed(self.args.seed)
        np.random.seed(self.args.seed)
        return float(np.random.rand())


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    return Trainer(Arguments(cfg.seed)).train()


if __name__ == "__main__":
    main()
