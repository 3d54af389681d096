"""What the seeding audit and the probes cost: at the start, and in a training step.

python benchmarks/bench_audit.py

The start: the same process with the audit's and the watch's entry timed. The step: one SGD step of a small network,
with and without a session's hooks, in turn; the median of the pairs and their range.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

START = """
import time, os
import numpy, torch
from repro_hydra.audit import SeedingAudit
from repro_hydra.config import DeterminismConf
from repro_hydra.determinism import SettingsWatch
from repro_hydra.imports import LateImports
late = LateImports(); late.install()
begun = time.perf_counter()
audit = SeedingAudit(late.when_imported, os.getcwd())
audit.enter()
middle = time.perf_counter()
SettingsWatch(DeterminismConf(), late.when_imported).enter()
print(middle - begun, time.perf_counter() - middle)
"""
STEPS, PAIRS = 200, 41


def spread(values: list[float], unit: float = 1e3) -> str:
    return f"{statistics.median(values) * unit:.2f} [{min(values) * unit:.2f} … {max(values) * unit:.2f}]"


def start_up() -> None:
    audits, probes = [], []
    for _ in range(7):
        done = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, check=True)
        audit, probe = (float(word) for word in done.stdout.split())
        audits.append(audit)
        probes.append(probe)
    print(f"start: audit {spread(audits)} ms, settings {spread(probes)} ms (7 processes, torch imported)")


def step() -> None:
    import torch

    from repro_hydra.audit import SeedingAudit
    from repro_hydra.config import DeterminismConf
    from repro_hydra.determinism import SettingsWatch
    from repro_hydra.imports import LateImports

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    model = torch.nn.Sequential(
        torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Dropout(0.1), torch.nn.Linear(64, 10)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    batch = torch.randn(32, 64)

    def steps() -> float:
        begun = time.thread_time()  # of this thread alone: others share the machine
        for _ in range(STEPS):
            optimizer.zero_grad()
            model(batch).square().mean().backward()
            optimizer.step()
        return (time.thread_time() - begun) / STEPS

    steps()
    ratios, plain, firsts = [], [], []
    for _ in range(PAIRS):
        without = steps()
        late = LateImports()
        late.install()
        audit = SeedingAudit(late.when_imported, os.getcwd())  # noqa: PTH109
        audit.enter(fresh=False)
        audit.began([1])
        watch = SettingsWatch(DeterminismConf(), late.when_imported)
        watch.enter()
        begun = time.thread_time()
        optimizer.step()  # the probe at the first step, once a run
        firsts.append(time.thread_time() - begun)
        with_hooks = steps()
        watch.stop()
        audit.stop()
        late.remove()
        ratios.append(with_hooks / without - 1)
        plain.append(without)
    print(
        f"step: {spread(plain)} ms plain; with audit and probes {spread(ratios, 100)} % more ({PAIRS} pairs)"
    )


if __name__ == "__main__":
    start_up()
    step()
