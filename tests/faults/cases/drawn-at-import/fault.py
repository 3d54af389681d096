"""Drawing at the top of the script, before anybody has seeded."""

import hydra
import numpy as np

NOISE = np.random.rand(3)  # <-


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    return float(NOISE.sum())


if __name__ == "__main__":
    main()
