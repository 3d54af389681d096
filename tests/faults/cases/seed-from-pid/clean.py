"""The same, done well."""

import hydra
import numpy as np


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    np.random.seed(cfg.seed)
    return float(np.random.rand())


if __name__ == "__main__":
    main()
