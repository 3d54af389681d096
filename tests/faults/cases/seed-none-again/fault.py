"""np.random.seed(None) in the middle of the task."""

import hydra
import numpy as np


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    np.random.seed(None)  # <-
    return float(np.random.rand())


if __name__ == "__main__":
    main()
