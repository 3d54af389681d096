"""What fingerprints, the audit and the probes cost a training step together.

python benchmarks/bench_fingerprint.py [--pairs N] [--large-pairs N] [--device cuda] [--batch N]

Two trainings on one thread, or on a GPU: that of the example (its network, its data set with its shifts and noise, its
loader, SGD with a schedule), and a network of 10⁷ parameters with Adam. Blocks of steps with and without all that a
strict session puts around torch, in pairs whose order changes; told is the median of the pairs' ratios and its
interval, and the same of pairs in which both blocks run without. Bounds: 5 % + 1 % of the example's step, 1 % + 1 % at
10⁷ parameters.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench_audit import watched
from paired_blocks import block, device_clock, pair, tell

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def of_the_example(device: str) -> Callable[[], None]:
    import torch
    from torch.utils.data import DataLoader

    from train import Digits, conv_net

    torch.manual_seed(0)
    model = conv_net(width=16, dropout=0.1).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 10_000)
    loader = DataLoader(Digits(train=True, shift=1, noise=0.05), 64, shuffle=True)
    batches = iter(loader)

    def step() -> None:
        nonlocal batches
        batch = next(batches, None)
        if batch is None:
            batches = iter(loader)
            batch = next(batches)
        images, labels = (tensor.to(device) for tensor in batch)
        loss = torch.nn.functional.cross_entropy(model(images), labels, label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()

    return step


def of_ten_million(device: str, batch: int) -> Callable[[], None]:
    import torch

    torch.manual_seed(0)
    width = 1800
    layers = [torch.nn.Linear(64, width), torch.nn.ReLU()]
    for _ in range(3):
        layers += [torch.nn.Linear(width, width), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers, torch.nn.Linear(width, 10)).to(device)
    optimizer = torch.optim.Adam(model.parameters())
    images, labels = torch.randn(batch, 64).to(device), torch.randint(10, (batch,)).to(device)

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return step


@contextmanager
def fingerprinted() -> Iterator[None]:
    """With all that a strict session has around a step."""
    from repro_hydra.fingerprint.recorder import Fingerprints
    from repro_hydra.imports import LateImports

    def failed(error: Exception) -> None:
        raise SystemExit(f"fingerprints stopped: {error}")

    with watched(), tempfile.TemporaryDirectory() as folder:
        taking = Fingerprints(Path(folder, "fingerprints.jsonl"), failed)
        taking.install(LateImports().when_imported)
        try:
            yield
        finally:
            taking.close()


def measure(
    name: str, step: Callable[[], None], bound: int, *, steps: int, pairs: int, clock: Callable[[], float]
) -> None:
    # The first step of an optimizer reads all weights, once a run: it is among the steps before the block.
    for _ in range(5):
        step()
    print(f"{name}: {block(step, steps, 2, clock) / steps * 1e3:.2f} ms a step", flush=True)
    nothing, hooks = [], []
    for number in range(pairs):  # the two comparisons in turn, so that both see the same machine
        hooks.append(pair(step, fingerprinted, first=number % 2 == 1, steps=steps, warm=3, clock=clock))
        nothing.append(pair(step, first=number % 2 == 1, steps=steps, warm=3, clock=clock))
    tell(f"{name}, fingerprints, audit and probes; bound +{bound}", hooks)
    tell(f"{name}, nothing at all, which shows what is resolved", nothing)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--pairs", type=int, default=80, help="of blocks of the example (default %(default)s)"
    )
    parser.add_argument(
        "--large-pairs", type=int, default=12, help="of the large network (default %(default)s)"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default %(default)s)")
    parser.add_argument(
        "--batch", type=int, default=64, help="rows in a batch of the large network (default %(default)s)"
    )
    chosen = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    gc.collect()
    gc.freeze()  # what is there is not gone through again before each block
    clock = device_clock if chosen.device != "cpu" else time.thread_time
    measure("example", of_the_example(chosen.device), 6, steps=46, pairs=chosen.pairs, clock=clock)
    large = of_ten_million(chosen.device, chosen.batch)
    steps = 46 if chosen.device != "cpu" else 12
    measure("10⁷ parameters", large, 2, steps=steps, pairs=chosen.large_pairs, clock=clock)
