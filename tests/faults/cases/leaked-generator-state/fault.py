"""Each job goes on with the generator that the last one left."""

import hydra
import numpy as np

RNG = np.random.default_rng(7)


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    return float(RNG.random())


if __name__ == "__main__":
    main()
