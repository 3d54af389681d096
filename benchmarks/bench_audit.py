"""What the seeding audit and the probes cost: at the start, and in a training step.

python benchmarks/bench_audit.py [--pairs N]

The start: seven processes in which the entry of the audit and of the watch over the settings are timed. The step, of a
small convolutional network as in the example, is looked at twice. First exactly: every call of a function, Python's or
C's, that a step makes is counted with and without what a session puts around torch; the machine's noise has no part in
that. Then in time: in one process, short blocks of steps with and without, in pairs whose order changes, so that a
drift of the machine cancels. Told is the median of the pairs' ratios, with the order statistics that hold it at 95 %
(nothing is assumed of the distribution), and the same of pairs in which both blocks run without: if that interval is
wider than the bound of 1 %, the machine was too restless to tell.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from paired_blocks import block, pair, tell

START = """
import time, os
import numpy, torch
from repro_hydra.audit import SeedingAudit
from repro_hydra.config import DeterminismConf
from repro_hydra.determinism import SettingsWatch
from repro_hydra.imports import LateImports
late = LateImports(); late.install()
begun, worked = time.perf_counter(), time.process_time()
audit = SeedingAudit(late.when_imported, os.getcwd())
audit.enter()
middle = time.perf_counter()
SettingsWatch(DeterminismConf(), late.when_imported).enter()
print(middle - begun, time.perf_counter() - middle, time.process_time() - worked)
"""
PROCESSES = 7
STEPS = 12
"""In a block: some 60 ms, short against the machine's moods and long against the clock."""
WARM = 3
PAIRS = 240


def start_up() -> None:
    runs = []
    for _ in range(PROCESSES):
        done = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, check=True)
        runs.append([float(word) * 1e3 for word in done.stdout.split()])
    both = [audit + settings for audit, settings, _ in runs]
    worked = statistics.median(work for _, _, work in runs)
    print(
        f"start: {statistics.median(both):.1f} ms [{min(both):.1f} … {max(both):.1f}], of which {worked:.1f} ms on a "
        f"processor, in {PROCESSES} processes with torch imported; bound 50"
    )


def make_step() -> Callable[[], None]:
    """One step of training; a new optimizer for each block, as a run makes one."""
    import torch

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 3), torch.nn.ReLU(), torch.nn.Conv2d(16, 32, 3), torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), torch.nn.Dropout(0.1), torch.nn.Linear(512, 10),
    )  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    images, labels = torch.randn(32, 1, 16, 16), torch.randint(10, (32,))

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return step


@contextmanager
def watched() -> Iterator[None]:
    """With the hooks of a session."""
    from repro_hydra.audit import SeedingAudit
    from repro_hydra.config import DeterminismConf
    from repro_hydra.determinism import SettingsWatch
    from repro_hydra.imports import LateImports

    late = LateImports()
    late.install()
    audit = SeedingAudit(late.when_imported, os.getcwd())  # noqa: PTH109
    audit.enter(fresh=False)
    audit.began([1])
    watch = SettingsWatch(DeterminismConf(), late.when_imported)
    watch.enter()
    try:
        yield
    finally:
        watch.stop()
        audit.stop()
        late.remove()


def calls(step: Callable[[], None]) -> int:
    """How many functions a step calls."""
    count = 0

    def seen(_frame: object, event: str, _what: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(seen)
    try:
        step()
    finally:
        sys.setprofile(None)
    return count


def steps(pairs: int) -> None:
    step = make_step()
    for _ in range(20):
        step()
    without = calls(step)
    with watched():
        step()  # the first of a run, which has the probe
        within = calls(step)
    print(f"step: {without} calls of functions without, {within} with audit and probes")
    gc.collect()
    gc.freeze()  # what is there is not gone through again before each block
    print(f"step: {block(step, STEPS, WARM) / STEPS * 1e3:.2f} ms without")
    nothing, hooks = [], []
    for number in range(pairs):  # the two comparisons in turn, so that both see the same machine
        hooks.append(pair(step, watched, first=number % 2 == 1, steps=STEPS, warm=WARM))
        nothing.append(pair(step, first=number % 2 == 1, steps=STEPS, warm=WARM))
    tell("audit and probes; bound +1", hooks)
    tell("nothing at all, which shows what is resolved", nothing)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pairs", type=int, default=PAIRS, help="of blocks (default %(default)s)")
    chosen = parser.parse_args()
    start_up()
    steps(chosen.pairs)
