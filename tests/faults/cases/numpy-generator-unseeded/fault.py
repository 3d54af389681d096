"""default_rng() without a seed."""

import hydra
import numpy as np


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    rng = np.random.default_rng()  # <-
    return float(rng.random())


if __name__ == "__main__":
    main()
