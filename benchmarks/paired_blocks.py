"""Blocks of training steps with and without something, in pairs whose order changes: the machine's drift cancels."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext


def block(
    step: Callable[[], None], steps: int, warm: int, clock: Callable[[], float] = time.thread_time
) -> float:
    """The seconds that so many steps take: by default of this thread alone, for others share the machine."""
    for _ in range(warm):  # caches are as cold as the entry left them
        step()
    gc.collect()
    begun = clock()
    for _ in range(steps):
        step()
    return clock() - begun


def device_clock() -> float:
    """The time at which the GPU has done all that it was given so far."""
    import torch

    torch.cuda.synchronize()
    return time.perf_counter()


def pair(
    step: Callable[[], None],
    within: Callable[[], AbstractContextManager[object]] = nullcontext,
    *,
    first: bool,
    steps: int,
    warm: int,
    clock: Callable[[], float] = time.thread_time,
) -> float:
    """By which part a block within the context took longer; `first`: it comes first."""

    def other() -> float:
        with within():
            return block(step, steps, warm, clock)

    if first:
        inside, outside = other(), block(step, steps, warm, clock)
    else:
        outside, inside = block(step, steps, warm, clock), other()
    return inside / outside - 1


def median_interval(values: Sequence[float], z: float = 1.96) -> tuple[float, float, float]:
    """The median, and the order statistics between which the true one lies at 95 % (binomial, normal approximation)."""
    ordered = sorted(values)
    n = len(ordered)
    reach = z * n**0.5 / 2
    low, high = max(0, int(n / 2 - reach)), min(n - 1, int(n / 2 + reach))
    return statistics.median(ordered), ordered[low], ordered[high]


def tell(what: str, ratios: Sequence[float]) -> None:
    """Print the median in percent, with its interval."""
    middle, low, high = (100 * value for value in median_interval(ratios))
    print(f"step, {what}: {middle:+.2f} % [{low:+.2f} … {high:+.2f}] ({len(ratios)} pairs)", flush=True)
