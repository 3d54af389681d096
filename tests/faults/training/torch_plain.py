"""A small network with dropout, a loader with workers and a checkpoint: plain torch."""

import os
import random
import time
from pathlib import Path

import hydra
import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import repro_hydra


def seed_worker(_number):
    seed = torch.initial_seed() % 2**32
    np.random.seed(seed)
    random.seed(seed)


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    began = time.time()
    random.seed(cfg.seed)
    np.random.seed(cfg.seed)
    torch.manual_seed(cfg.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    x = torch.randn(256, 16)
    y = (x[:, :4].sum(1) > 0).long()
    generator = torch.Generator().manual_seed(cfg.seed)
    loader = DataLoader(
        TensorDataset(x, y),
        32,
        shuffle=True,
        num_workers=2,
        worker_init_fn=seed_worker,
        generator=generator,
        persistent_workers=True,
    )
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 2)).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), cfg.lr)
    for epoch in range(3):
        for xs, ys in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(xs.to(device)), ys.to(device))
            loss.backward()
            optimizer.step()
        repro_hydra.log_metrics({"loss": float(loss)}, step=epoch)
    torch.save(model.state_dict(), Path(HydraConfig.get().runtime.output_dir, "model.pt"))
    print(f"{time.time() - began:.1f} s on {os.environ.get('HOSTNAME', 'this machine')}")
    return {"loss": float(loss)}


if __name__ == "__main__":
    main()
