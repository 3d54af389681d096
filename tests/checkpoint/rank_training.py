"""A training of two ranks under torchrun, with gloo on the CPU, struck at chosen steps and started again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from training import Laboratory, Left, make_laboratory

LIMIT_S = 120

SCRIPT = '''\
import os
import random
import signal
import time
from datetime import timedelta
from pathlib import Path

import hydra
import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset, DistributedSampler

import repro_hydra
from repro_hydra.checkpoint import preemption

RANK = int(os.environ["RANK"])


class Points(Dataset):
    def __init__(self):
        generator = np.random.default_rng(7)
        self.x = generator.normal(size=(46, 6)).astype(np.float32)
        self.y = generator.integers(0, 3, size=46)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return torch.from_numpy(self.x[index] * random.random()) + 0.1 * torch.randn(6), int(self.y[index])


def strike(step):
    """Whoever wants a process away: NAME@STEP@TARGET@FILE, once; TARGET is a rank, `agent`, or `all`."""
    for order in os.environ.get("STRIKES", "").split():
        name, at, target, place = order.split("@")
        if int(at) != step or os.path.exists(place):
            continue
        if target in ("agent", "all") and RANK == 0 or target == str(RANK):
            open(place, "w").close()
            others = [int(line) for line in Path("pids").read_text().split()]
            for pid in {"agent": [os.getppid()], "all": others}.get(target, [os.getpid()]):
                os.kill(pid, getattr(signal, name))
            until = time.monotonic() + 30
            while name == "SIGTERM" and target == "agent" and preemption.requested() is None:
                assert time.monotonic() < until, "torchrun passed nothing on"
                time.sleep(0.01)


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    dist.init_process_group("gloo", timeout=timedelta(seconds=60))
    pids = [None] * dist.get_world_size()
    dist.all_gather_object(pids, os.getpid())
    if RANK == 0:
        Path("pids").write_text(" ".join(map(str, pids)))
    data = Points()
    sampler = DistributedSampler(data, shuffle=True, seed=3)
    loader = DataLoader(data, 4, sampler=sampler, num_workers=cfg.workers)
    model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))
    model = DistributedDataParallel(model, find_unused_parameters=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    augment = repro_hydra.rng("augment")
    history, seen = [], 0
    with repro_hydra.resumable(model, optimizer, every_steps=cfg.every, every_s=cfg.seconds) as state:
        for epoch in state.epochs(cfg.epochs):
            total = 0.0
            for x, y in state.batches(loader):
                x = x + torch.from_numpy(augment.normal(size=x.shape).astype(np.float32)) * random.random()
                loss = F.cross_entropy(model(x * np.random.uniform(0.9, 1.1)), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item()
                seen += 1
                repro_hydra.log_metrics({"loss": loss}, step=seen)
                time.sleep(cfg.pause)  # so that a strike at one step is not answered at the end of all
                strike(state.step)
            history.append(total)
            repro_hydra.log_metrics({"total": total}, step=seen)
    own = {"history": history, "next": random.random() + np.random.rand() + torch.rand(1).item() + augment.random()}
    torch.save(
        {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "own": own},
        Path(cfg.out, f"weights{RANK}.pt"),
    )
    dist.barrier()
    dist.destroy_process_group()
    return {"last": history[-1], "next": own["next"]}


if __name__ == "__main__":
    main()
'''
CONFIG = "seed: 3\nepochs: 2\nworkers: 0\nevery: null\nseconds: null\npause: 0.15\nout: ${hydra:runtime.output_dir}\n"


class Ranks:
    """A project whose runs have several ranks."""

    def __init__(self, top: Path, home: Path) -> None:
        self.laboratory: Laboratory = make_laboratory(top, home, SCRIPT, CONFIG)
        self.top = top

    def start(
        self, name: str, *arguments: str, world: int = 2, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """One attempt."""
        return subprocess.run(
            [
                *("repro-hydra", "run", "--", "torchrun"),
                "--standalone",
                f"--log-dir={self.top.parent / 'torchrun'}",  # else each leaves a folder in the temporary directory
                f"--nproc-per-node={world}",
                "train.py",
                "+repro=strict",
                f"hydra.run.dir=outputs/{name}",
                "hydra.callbacks.repro.resume=true",
                "hydra.callbacks.repro.environment.variables=[STRIKES]",
                *arguments,
            ],
            cwd=self.top,
            env=self.laboratory.environment | variables,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )

    def struck(self, name: str, strikes: Sequence[str], *arguments: str, world: int = 2) -> list[str]:
        """Start a run that is struck (``SIGTERM@5@1``) an attempt each, and go on with it until it has
        completed; what each attempt said."""
        said = []
        for number, strike in enumerate([*strikes, ""]):
            order = strike and f"{strike}@{self.top}/strike-{name}-{number}"
            done = self.start(name, *arguments, world=world, STRIKES=order)
            said.append(done.stdout + done.stderr)
            if done.returncode == 0:
                return said
        raise AssertionError(f"{name} did not come to its end: " + "\n=====\n".join(said))

    def left(self, name: str, world: int = 2) -> Left:
        """What the run left, each rank's weights, optimizer and generators included."""
        run_dir = self.top / "outputs" / name
        record = run_dir / ".repro"
        lines = [json.loads(line) for line in (record / "metrics.jsonl").read_text().splitlines()]
        weights = {
            str(rank): torch.load(run_dir / f"weights{rank}.pt", weights_only=True) for rank in range(world)
        }
        return Left(
            weights=weights,
            metrics=[{key: value for key, value in line.items() if key != "time"} for line in lines],
            result=(record / "result.json").read_bytes(),
            fingerprints=(record / "fingerprints.jsonl").read_text(),
            run=json.loads((record / "run.json").read_text()),
        )

    def run(self, name: str) -> dict[str, Any]:
        return dict(json.loads((self.top / "outputs" / name / ".repro" / "run.json").read_text()))

    def sets(self, name: str) -> list[Path]:
        return sorted((self.top / "outputs" / name / ".repro" / "checkpoints").glob("*.ranks"))
