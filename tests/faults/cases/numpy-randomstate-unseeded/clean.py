"""The same, done well."""

import hydra
import numpy as np


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    rng = np.random.RandomState(cfg.seed)
    return float(rng.rand())


if __name__ == "__main__":
    main()
