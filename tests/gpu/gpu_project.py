"""What users train on a GPU, and the repository that holds it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from doors_project import Project

OURS = ("GIT_", "REPRO_HYDRA_", "PYTEST_", "OMP_", "MKL_", "OPENBLAS_", "NUMEXPR_", "CUBLAS_", "COV_")

CONFIG = """\
seed: 3
epochs: 2
every: null
autocast: false
compiled: false
weights: ${hydra:runtime.output_dir}/weights.pt
"""

TRAINING = '''\
import os
import random
import signal

import hydra
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import repro_hydra


class Net(nn.Module):
    """Of what GPUs add in any order: convolutions, an embedding, attention, scattered sums."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(50, 32)
        self.conv = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2))
        self.attend = nn.MultiheadAttention(32, 4, batch_first=True)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(32, 10)

    def forward(self, image, words):
        seen = self.conv(image).flatten(2).transpose(1, 2)
        told = self.embed(words)
        mixed, _ = self.attend(told, seen, seen, need_weights=False)
        pooled = torch.zeros(len(words), 32, device=image.device, dtype=mixed.dtype)
        pooled = pooled.index_add(0, torch.arange(len(words), device=image.device).repeat_interleave(words.shape[1]),
                                  mixed.reshape(-1, 32))
        return self.head(self.drop(pooled))


def data():
    generator = torch.Generator().manual_seed(7)
    images = torch.randn(512, 3, 16, 16, generator=generator)
    words = torch.randint(0, 50, (512, 40), generator=generator)
    return TensorDataset(images, words, torch.randint(0, 10, (512,), generator=generator))


def strike(step):
    """Whoever wants this process away, at the steps that the test chose, once each."""
    for order in os.environ.get("STRIKES", "").split():
        name, at, place = order.split("@")
        if int(at) == step and not os.path.exists(place):
            open(place, "w").close()
            os.kill(os.getpid(), getattr(signal, name))


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    loader = DataLoader(data(), 64, shuffle=True, num_workers=2, pin_memory=True)
    assert not torch.cuda.is_initialized()  # children that are forked here can still use the GPU
    model = Net().cuda()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    forward = torch.compile(model) if cfg.compiled else model
    scaler = torch.amp.GradScaler("cuda", enabled=cfg.autocast)
    with repro_hydra.resumable(model, optimizer, scaler, every_steps=cfg.every) as state:
        for epoch in state.epochs(cfg.epochs):
            for image, words, label in state.batches(loader):
                image, words, label = (x.cuda(non_blocking=True) for x in (image, words, label))
                image = image + 0.1 * torch.randn_like(image) * random.random()
                with torch.autocast("cuda", enabled=cfg.autocast):
                    loss = F.cross_entropy(forward(image, words), label)
                optimizer.zero_grad()
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
                repro_hydra.log_metrics({"loss": loss}, step=state.step)
                strike(state.step)
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, cfg.weights)
    return {"loss": loss.item(), "next": torch.rand(1, device="cuda").item(), "numpy": np.random.rand()}


if __name__ == "__main__":
    main()
'''


def new_project(folder: Path, script: str, config: str = "seed: 1\n") -> Project:
    """A repository with that script."""
    home, top = folder / "home", folder / "project"
    home.mkdir()
    top.mkdir()
    (home / "gitconfig").write_text("[user]\n\tname = A User\n\temail = user@example.org\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    kept.pop("PYTHONHASHSEED", None)
    made = Project(
        top,
        kept
        | {
            "HOME": str(home),
            "GIT_CONFIG_GLOBAL": str(home / "gitconfig"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "XDG_STATE_HOME": str(home / "state"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        },
    )
    made.git("init", "-q")
    return made.holding(script, config, **{".gitignore": "outputs/\nmultirun/\nstrike-*\n__pycache__/\n"})
