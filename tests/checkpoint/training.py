"""An ordinary training script, killed at chosen steps and started again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

LIMIT_S = 90

SCRIPT = '''\
import os
import random
import signal

import hydra
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

import repro_hydra


class Points(Dataset):
    def __init__(self):
        generator = np.random.default_rng(7)
        self.x = generator.normal(size=(46, 6)).astype(np.float32)
        self.y = generator.integers(0, 3, size=46)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        noise = np.random.normal(size=6).astype(np.float32) * random.random()
        return torch.from_numpy(self.x[index] + noise) + 0.1 * torch.randn(6), int(self.y[index])


class Meter:
    def __init__(self):
        self.total, self.count = 0.0, 0

    def update(self, value, count):
        self.total += value * count
        self.count += count


def evaluate(model, data):
    model.eval()
    with torch.no_grad():
        x = torch.from_numpy(data.x)
        return float((model(x).argmax(1) == torch.from_numpy(data.y)).float().mean())


def strike(step):
    """Whoever wants this process away, at the steps that the test chose, once each."""
    for order in os.environ.get("STRIKES", "").split():
        name, at, place = order.split("@")
        if at == str(step) and not os.path.exists(place):
            open(place, "w").close()
            os.kill(os.getpid(), getattr(signal, name))


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    data = Points()
    loader = DataLoader(data, 8, shuffle=True, num_workers=cfg.workers)
    model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.02, total_steps=cfg.epochs * len(loader))
    augment = repro_hydra.rng("augment")
    best, history, seen = 0.0, [], 0
    repro_hydra.log_metrics({"parameters": sum(p.numel() for p in model.parameters())})
    with repro_hydra.resumable(model, optimizer, scheduler, every_steps=cfg.every) as state:
        for epoch in state.epochs(cfg.epochs):
            model.train()
            meter, total = Meter(), 0.0
            for x, y in state.batches(loader):
                x = x + torch.from_numpy(augment.normal(size=x.shape).astype(np.float32)) * random.random()
                loss = F.cross_entropy(model(x * np.random.uniform(0.9, 1.1)), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                scheduler.step()
                total += loss.item() * len(y)
                meter.update(loss.item(), len(y))
                seen += 1
                if seen % 3 == 0:
                    repro_hydra.log_metrics({"loss": loss, "lr": scheduler.get_last_lr()[0]}, step=seen)
                strike(state.step)
            accuracy = evaluate(model, data)
            best = max(best, accuracy)
            history.append(accuracy)
            repro_hydra.log_metrics(
                {"train_loss": total / meter.count, "meter": meter.total, "last_loss": loss.item(), "best": best},
                step=seen,
            )
        strike("evaluation")
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, cfg.weights)
    repro_hydra.log_result({"seen": seen, "mean_accuracy": sum(history) / len(history)})
    return {"best": best, "loss": loss.item(), "next": random.random() + np.random.rand() + torch.rand(1).item()}


if __name__ == "__main__":
    main()
'''
CONFIG = "seed: 3\nepochs: 3\nworkers: 0\nevery: null\nweights: ${hydra:runtime.output_dir}/weights.pt\n"


@dataclass(frozen=True)
class Left:
    """What a run left, without what differs from run to run by nature."""

    weights: dict[str, Any]
    metrics: list[dict[str, Any]]
    result: bytes
    fingerprints: str | None
    run: dict[str, Any]

    def same_bits(self, other: Left) -> None:
        """Fail unless weights, optimizer, metrics, result and fingerprints are those of `other`, bit by bit."""
        assert self.fingerprints == other.fingerprints
        assert self.metrics == other.metrics
        assert self.result == other.result
        assert_equal(self.weights, other.weights)


def assert_equal(a: Any, b: Any, where: str = "") -> None:
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype, where
        assert torch.equal(a.view(torch.uint8) if a.dim() else a, b.view(torch.uint8) if b.dim() else b), (
            where
        )
    elif isinstance(a, dict):
        assert list(a) == list(b), where
        for key in a:
            assert_equal(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        for number, pair in enumerate(zip(a, b, strict=True)):
            assert_equal(*pair, f"{where}.{number}")
    else:
        assert a == b, where


class Laboratory:
    """A project, and what its runs leave."""

    def __init__(self, top: Path, environment: dict[str, str]) -> None:
        self.top = top
        self.environment = environment | {"OMP_NUM_THREADS": "1"}

    def start(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "repro_hydra", "run", "--", "python", "train.py", *arguments],
            cwd=self.top,
            env=self.environment | variables,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )

    def undisturbed(self, name: str, *arguments: str) -> Left:
        done = self.start("+repro=strict", f"hydra.run.dir=outputs/{name}", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return self.left(name)

    def struck(self, name: str, strikes: Sequence[str], *arguments: str) -> tuple[Left, list[int]]:
        """Start a run that is struck (``SIGTERM@5``), and go on with it until it has completed."""
        orders = " ".join(f"{strike}@{self.top}/strike-{name}-{n}" for n, strike in enumerate(strikes))
        codes = []
        for _ in range(len(strikes) + 1):
            done = self.start(
                "+repro=strict",
                f"hydra.run.dir=outputs/{name}",
                "hydra.callbacks.repro.resume=true",
                "hydra.callbacks.repro.environment.variables=[STRIKES]",
                *arguments,
                STRIKES=orders,
            )
            codes.append(done.returncode)
            if done.returncode == 0:
                return self.left(name), codes
            assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        raise AssertionError(f"{name} did not come to its end: {done.stdout + done.stderr}")

    def left(self, name: str) -> Left:
        run_dir = self.top / "outputs" / name
        record = run_dir / ".repro"
        lines = [json.loads(line) for line in (record / "metrics.jsonl").read_text().splitlines()]
        return Left(
            weights=torch.load(run_dir / "weights.pt", weights_only=True),
            metrics=[{key: value for key, value in line.items() if key != "time"} for line in lines],
            result=(record / "result.json").read_bytes(),
            fingerprints=prints.read_text() if (prints := record / "fingerprints.jsonl").exists() else None,
            run=json.loads((record / "run.json").read_text()),
        )


def make_laboratory(top: Path, home: Path, script: str = SCRIPT, config: str = CONFIG) -> Laboratory:
    ours = ("GIT_", "REPRO_HYDRA_", "PYTEST_", "SLURM_", "OMP_", "MKL_", "OPENBLAS_", "NUMEXPR_", "COV_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    kept.pop("PYTHONHASHSEED", None)
    environment = kept | {
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CEILING_DIRECTORIES": str(top.parent),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    top.mkdir()
    (top / "conf").mkdir()
    (top / "train.py").write_text(script)
    (top / "conf" / "config.yaml").write_text(config)
    (top / ".gitignore").write_text("outputs/\nstrike-*\npids\n__pycache__/\n")
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "a project"]):
        subprocess.run([*git, *command], cwd=top, env=environment, check=True, timeout=LIMIT_S)
    return Laboratory(top, environment)
