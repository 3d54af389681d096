"""What `explain` answers."""

# ruff: noqa: RUF012 (msgspec gives each struct its own copy of an empty list or dict)
from __future__ import annotations

from typing import Literal

from repro_hydra.record.reproduction import Compared, PlacedCause
from repro_hydra.record.schema import JSON, Part

Stage = Literal["seed", "rng", "batch", "forward", "loss", "gradient", "optimizer", "weights", "metrics"]


class Explanation(Part, frozen=True, kw_only=True):
    """Where two runs part, and why."""

    equal: bool
    headline: str
    a: str
    """The directories of the two runs that were held against each other."""
    b: str
    step: JSON = None
    """The first that differs: of an optimizer, from 0, where `stage` is one of a training; else as it was logged."""
    stage: Stage | None = None
    """None where nothing differs, and where what differs belongs to no stage (a file, how the run ended)."""
    tensor: str | None = None
    """A parameter, a library's generator, a value that the program handed in, or a metric."""
    detail: str = ""
    """The same in words."""
    max_abs_diff: JSON = None
    """Between the first values that are at hand and differ,"""
    max_abs_diff_of: str | None = None
    """which are these."""
    operator: str | None = None
    """By which two reruns first part (`--bisect`), as torch calls it,"""
    module: str | None = None
    """and the module that it is of."""
    operator_why_not: str | None = None
    """Why none is named, where one was looked for."""
    causes: list[PlacedCause] = []
    """The likeliest first."""
    original: str | None = None
    """The run that was made again; `a` and `b` are then it and a rerun, or two reruns."""
    reruns: list[str] = []
    """The directories of the new runs."""
    unsteady: bool | None = None
    """Whether reruns differ from each other, so that none comes out as another; None where that is unknown."""
    compared: Compared = Compared()
    why_not: str | None = None
    """Why fingerprints were not compared, where a run took some."""
