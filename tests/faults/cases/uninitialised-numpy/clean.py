"""The same, done well."""

import hydra
import numpy as np


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    x = np.zeros(100, dtype=np.uint8)
    return int(x.astype(int).sum())


if __name__ == "__main__":
    main()
