"""What the place at which two runs part tells of the cause, and what it speaks against."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from repro_hydra.explain.parting import Parting
from repro_hydra.record.reproduction import PlacedCause

_HASH = re.compile(r"hash.?seed", re.I)
_ARITHMETIC = ("determinism", "hardware")
_DRAWN_OR_READ = ("rng", "batch")


def against(area: str, key: str, parting: Parting) -> str | None:
    """Why a difference in `area` hardly explains the place; None where it may.

    Parameters
    ----------
    key : str
        What of the area: a config key, a setting, a finding's id.
    """
    if parting.equal or parting.first is None:
        return None
    if area == "data" and "batch" in parting.first.equal:
        return "the batch is equal"
    decides_order = _HASH.search(key) is not None or key in ("mode", "seed_set")
    if area in _ARITHMETIC and parting.stage in _DRAWN_OR_READ and not decides_order:
        return "nothing that was computed differs before it"
    return None


class _Told(NamedTuple):
    area: str
    text: str


_TOLD = {
    "initial": _Told(
        "seed",
        "the initial weights differ, and no generator does at the end of the step: they were made before the seed was "
        "set, by a generator of their own, or loaded from a file that is another one",
    ),
    "batch": _Told(
        "data",
        "the batch differs first, and what torch and NumPy draw by is equal: another order or other contents. Look at "
        "a shuffle or sampler with a generator of its own, at files in the order of a directory or a set, at workers "
        "and what they augment by, at the data",
    ),
    "rng": _Told(
        "seed",
        "a generator's state differs while the batch is equal: something draws another number of times within the "
        "step, or seeds the generator again (dropout, augmentation, an evaluation, a library)",
    ),
    "rng, batch": _Told(
        "seed",
        "generators and batch differ: they were seeded otherwise, or something drew from them before the step",
    ),
    "loss": _Told(
        "determinism",
        "the batch is equal and the loss is not: the forward pass computes otherwise. Look at what it draws by a "
        "generator of its own, and at kernels that add in no fixed order or on another number of threads",
    ),
    "gradient": _Told(
        "determinism",
        "the loss is equal and gradients are not: a backward kernel that adds in no fixed order (indexing, scatter, "
        "embedding, pooling), or another number of threads. +repro=strict enforces deterministic ones",
    ),
    "optimizer": _Told(
        "config",
        "gradients are equal and the optimizer's states are not: its rate, schedule or other values, or another "
        "implementation of it (fused, foreach)",
    ),
    "weights": _Told(
        "code",
        "gradients and the optimizer's states are equal and the weights are not: the optimizer's rate, or something "
        "besides it that writes weights (an average, clipping, a callback)",
    ),
    "named": _Told(
        "determinism",
        "a value that the program handed in is the first to differ: look at what makes it, since the one before it",
    ),
    "metrics": _Told(
        "metrics",
        "the trainings are equal, step by step: what differs is made beside them, such as a time that was measured or "
        "an evaluation that draws by itself",
    ),
}


def told_by_stage(parting: Parting, *, recorded: bool, of_one: bool) -> Iterator[PlacedCause]:
    """What the stage tells, whatever the records hold.

    Parameters
    ----------
    recorded : bool
        Something recorded differs that can explain the place.
    of_one : bool
        The two are one run, made again twice.
    """
    told = _TOLD.get(_kind(parting))
    if told is not None:
        yield PlacedCause(area=told.area, detail=told.text)
    if not recorded and not parting.equal:
        yield PlacedCause(
            area="determinism",
            detail=f"nothing recorded differs that explains it, so {_SO[of_one]}. The condition that makes the "
            "difference: repro-hydra check -- COMMAND",
        )


_SO = {
    False: "a run depends on something that is not recorded. Whether it differs from itself: repro-hydra explain RUN "
    "--rerun",
    True: "the run is unsteady: something in it is new each time, or computed in no fixed order",
}


def _kind(parting: Parting) -> str:
    first = parting.first
    if first is None:
        return "metrics" if parting.prints.steps and parting.stage == "metrics" else ""
    if first.stage is None:
        return "" if first.tensor is None else "named"
    if parting.only_initial:
        return "initial"
    if parting.stage == "rng" and "batch" in first.differ:
        return "rng, batch"
    return parting.stage or ""
