"""What a strict run adds before its task, and what a further job of a sweep costs: ratios, measured side by side.

    python benchmarks/bench_launcher.py [--pairs 5] [--jobs 8]

Each figure is the median over pairs of runs taken in turn (plain, ours, plain, ours …), since these machines drift.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from users_environment import users_environment

from repro_hydra.config import DeterminismConf
from repro_hydra.determinism import required_variables
from repro_hydra.determinism.addresses import fixed_for_children

FEW = 2
# Prints the clock when its task begins: what comes before it is start-up.
SCRIPT = """
import time
import hydra
import torch

@hydra.main(version_base="1.3", config_path=None)
def main(cfg):
    print("TASK", time.time(), flush=True)
    model = torch.nn.Linear(64, 64)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(cfg.get("steps", 20)):
        optimizer.zero_grad()
        model(torch.randn(256, 64)).square().mean().backward()
        optimizer.step()

main()
"""


def environment(folder: Path) -> dict[str, str]:
    """What strict wants from the start, on both sides, so that nothing is started again and only our work differs."""
    right = required_variables(DeterminismConf(), {})
    return {**users_environment(), **right, "XDG_STATE_HOME": str(folder / "state")}


def until_task(folder: Path, *arguments: str) -> float:
    """Seconds from starting the process to the first line of its task."""
    began = time.time()
    output = subprocess.run(
        [sys.executable, "train.py", *arguments],
        cwd=folder, env=environment(folder), check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    line = next(line for line in output.splitlines() if line.startswith("TASK"))
    return float(line.split()[1]) - began


def whole(folder: Path, *arguments: str) -> float:
    """Seconds of the whole command."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "train.py", *arguments],
        cwd=folder, env=environment(folder), check=True, capture_output=True,
    )  # fmt: skip
    return time.perf_counter() - began


def per_job(folder: Path, jobs: int, *arguments: str) -> float:
    """Seconds that one further job of a sweep takes: start-up falls out of the difference."""
    few = whole(folder, "-m", *arguments, f"+seed=range({FEW})")
    many = whole(folder, "-m", *arguments, f"+seed=range({FEW + jobs})")
    return (many - few) / jobs


def show(name: str, values: list[float], unit: str, bound: str) -> None:
    low, middle, high = min(values), statistics.median(values), max(values)
    print(f"{name:<66} {middle:8.3f} {unit:<4} [{low:.3f} … {high:.3f}]   bound {bound}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=12)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, fixed_for_children():
        folder = Path(name)
        (folder / "train.py").write_text(SCRIPT)
        (folder / ".gitignore").write_text("outputs\nmultirun\nstate\n__pycache__\n")
        git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org"]
        for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
            subprocess.run([*git, *command], cwd=folder, check=True)

        added = []
        for pair in range(options.pairs + 1):  # the first warms the disk's cache
            plain = until_task(folder)
            strict = until_task(folder, "+repro=strict")
            if pair:
                added.append(strict - plain)
        show("strict adds before the task, environment right already", added, "s", "<= 0.25 s")

        one_at_a_time, strict, double = [], [], []
        isolating = ("hydra/launcher=repro",)
        for _ in range(max(2, options.pairs // 2)):
            plain = per_job(folder, options.jobs)
            one_at_a_time.append(per_job(folder, options.jobs, *isolating) - plain)
            strict.append(per_job(folder, options.jobs, "+repro=strict") - plain)
            busy = (*isolating, "+steps=6000")
            serial = per_job(folder, options.jobs, *busy)
            double.append(serial / per_job(folder, options.jobs, *busy, "hydra.launcher.n_jobs=2"))
        in_process = "a further job, on top of Hydra in one process:"
        show(f"{in_process} isolating", one_at_a_time, "s", "<= 0.06 s")
        show(f"{in_process} strict", strict, "s", "(none is set)")
        show("throughput with two jobs at a time over one at a time", double, "x", ">= 1.6 x on two cores")


if __name__ == "__main__":
    main()
