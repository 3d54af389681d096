"""Two seeds of a sweep end with the same weights."""

from pathlib import Path

import hydra
import numpy as np
from hydra.core.hydra_config import HydraConfig


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    weights = np.random.default_rng(0).random(4)
    np.save(Path(HydraConfig.get().runtime.output_dir, "weights.npy"), weights)
    return float(weights.sum())


if __name__ == "__main__":
    main()
