"""The same, done well."""

import hydra
import numpy as np


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    return float(np.random.rand())


if __name__ == "__main__":
    main()
