"""A checkpoint in the project resumes without the generator's state."""

from pathlib import Path

import hydra
import numpy as np


def train(folder, seed):
    state = Path(folder, "last.npz")
    rng = np.random.default_rng(seed)
    start, weight = 0, 0.0
    if state.exists():
        saved = np.load(state, allow_pickle=False)
        start, weight = int(saved["step"]), float(saved["weight"])
    for step in range(start, min(start + 2, 4)):
        weight += rng.random()
        np.savez(state, step=step + 1, weight=weight)
    return weight


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    return train(".", cfg.seed)


if __name__ == "__main__":
    main()
