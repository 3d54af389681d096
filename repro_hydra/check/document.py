"""What `check` answers."""

# ruff: noqa: RUF012 (msgspec gives each struct its own copy of an empty list or dict)
from __future__ import annotations

from repro_hydra.record.reproduction import Compared, PlacedCause
from repro_hydra.record.schema import JSON, Part


class Divergence(Part, frozen=True, kw_only=True):
    """The first thing in which two runs differ."""

    runs: tuple[int, int]
    """Their numbers, from 1."""
    where: str
    """``metrics``, ``result``, ``files``, ``output`` or ``status``."""
    name: str
    step: JSON = None
    a: JSON = None
    b: JSON = None
    detail: str = ""


class Pair(Part, frozen=True, kw_only=True):
    """Two runs held against each other, by bits."""

    a: int
    b: int
    equal: bool
    compared: Compared = Compared()
    differences: list[str] = []


class Spread(Part, frozen=True, kw_only=True):
    """One metric over all runs."""

    metric: str
    n: int
    distinct: int
    """How many different values (bits) there were."""
    min: JSON = None
    max: JSON = None
    std: JSON = None
    """With n - 1."""


class CheckedRun(Part, frozen=True, kw_only=True):
    number: int
    status: int
    """The command's exit status."""
    dir: str
    conditions: dict[str, JSON]
    """What of them was in force."""


class Check(Part, frozen=True, kw_only=True):
    """The whole answer."""

    reproducible: bool
    headline: str
    runs: int
    """How many were compared."""
    pairs: list[Pair] = []
    first_divergence: Divergence | None = None
    causes: list[PlacedCause] = []
    """The likeliest first."""
    spread: list[Spread] = []
    details: list[CheckedRun] = []
    extra_runs: int = 0
    """Those made to find the cause."""
    not_varied: dict[str, str] = {}
    """Conditions that could not be varied here, and why."""
    not_compared: list[str] = []
    """Files that a Hydra program wrote in the project, outside of the directory that Hydra gave it."""
    kept: str | None = None
    """Where the runs lie, if they were kept."""
