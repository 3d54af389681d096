"""Logistic regression by hand: NumPy alone."""

from pathlib import Path

import hydra
import numpy as np
from hydra.core.hydra_config import HydraConfig

import repro_hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    rng = np.random.default_rng(cfg.seed)
    x = rng.normal(size=(400, 8))
    y = (x @ rng.normal(size=8) + 0.3 * rng.normal(size=400) > 0).astype(float)
    weights = np.zeros(8)
    for step in range(60):
        batch = rng.permutation(400)[:64]
        predicted = 1 / (1 + np.exp(-x[batch] @ weights))
        weights -= cfg.lr * x[batch].T @ (predicted - y[batch]) / 64
        if step % 20 == 0:
            repro_hydra.log_metrics({"accuracy": float(((x @ weights > 0) == y).mean())}, step=step)
    np.save(Path(HydraConfig.get().runtime.output_dir, "weights.npy"), weights)
    return {"accuracy": float(((x @ weights > 0) == y).mean())}


if __name__ == "__main__":
    main()
