"""The training that the tests explain: each way to be unsteady is a value of `what`, in a line of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from laboratory import Laboratory

from repro_hydra.reproduce.original import Original, read_original
from repro_hydra.session.recorded import Watch

SCRIPT = """\
import random
import time

import hydra
import numpy as np
import repro_hydra
import torch


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    data = torch.from_numpy(np.load("data/train.npy"))
    order = random.Random(time.time_ns()) if cfg.what == "order" else random.Random(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=cfg.lr)
    for step in range(6):
        index = order.sample(range(len(data)), 16)
        if cfg.what == "dropout" and step == 2:
            torch.manual_seed(time.time_ns())
        loss = model(data[index]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        repro_hydra.log_metrics({"loss": loss.item()}, step=step)
    return {"loss": loss.item()}


if __name__ == "__main__":
    main()
"""
UNSTEADY = """\
import time

import hydra
import repro_hydra
import torch


class Layer(torch.nn.Module):
    def __init__(self, what):
        super().__init__()
        self.what = what
        self.inner = torch.nn.Linear(4, 8)
        self.table = torch.nn.Parameter(torch.randn(4, 8))

    def forward(self, x, step):
        x = self.inner(x)
        if self.what == "forward" and step == 12:
            x = torch.where(x > 0, x * (1 + time.time_ns() % 997), x)
        if self.what == "kernel" and step >= 1:
            picked = self.table[torch.arange(100_000) % 4]
            x = x + (picked * torch.randn(100_000, 8)).mean()
        return x.sum(1)


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    if cfg.what == "kernel":  # in a mode that sets nothing
        torch.manual_seed(cfg.seed)
        torch.set_num_threads(2)
    with open("left.txt", "a") as stream:
        stream.write("x")
    model = torch.nn.ModuleDict({"layer": Layer(cfg.what)})
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    for step in range(14):
        loss = model["layer"](torch.randn(16, 4), step).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    layer = model["layer"]
    return {
        "weights": layer.inner.weight.sum().item(),
        "table": layer.table.sum().item(),
        "left": len(open("left.txt").read()),
    }


if __name__ == "__main__":
    main()
"""
CONFIG = "seed: 1\nlr: 0.1\nwhat: nothing\n"


def write_data(lab: Laboratory, **seeds: int) -> None:
    """Arrays by name, each drawn by its seed."""
    for name, seed in seeds.items():
        file = lab.top / "data" / f"{name}.npy"
        file.parent.mkdir(exist_ok=True)
        np.save(file, np.random.default_rng(seed).normal(size=(64, 4)).astype("float32"))


def rewrite(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change each line of a file of JSON lines."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(change(line)) + "\n" for line in lines))


def line_of(text: str, script: str = SCRIPT) -> int:
    """The number of the one line that holds `text`."""
    (number,) = [number for number, line in enumerate(script.splitlines(), start=1) if text in line]
    return number


def explained(lab: Laboratory, *arguments: str | Path, code: int, cwd: Path | None = None) -> dict[str, Any]:
    """The document of ``repro-hydra explain``."""
    ended = lab.repro("explain", *map(str, arguments), "--json", cwd=cwd)
    assert ended.code == code, ended.text
    document: dict[str, Any] = json.loads(ended.out)
    assert document["equal"] is (code == 0)
    return document


class Handed:
    """In place of new runs, recorded ones, one after the other."""

    def __init__(self, *runs: Path, original: Path | None = None) -> None:
        self.original = read_original(original or runs[0])
        self.ignore: tuple[str, ...] = ()
        self.made: list[Original] = []
        self.left = list(runs)
        self.watched: list[Watch | None] = []

    def make(self, watch: Watch | None) -> Original:
        self.watched.append(watch)
        self.made.append(read_original(self.left.pop(0)))
        return self.made[-1]
