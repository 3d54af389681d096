"""What an aggregate knows of the runs and sweeps that it is made of."""

from __future__ import annotations

from dataclasses import dataclass, field

from repro_hydra.record.schema import JSON, ShownStatus, SweepRecord, Upheld
from repro_hydra.sweep.configuration import Leaves


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What an aggregate needs of one run."""

    dir: str
    run_id: str
    name: str | None
    status: ShownStatus
    started_at: str
    upheld: Upheld
    seed: JSON
    seed_key: str
    rank_offset: bool
    """Rank r of it had the seed ``seed + r``."""
    world_size: int
    overrides: list[str]
    sweep_id: str | None
    job_num: int | None
    primary_metric: str | None
    error: str | None
    configuration: bytes | None
    """Key into `Collected.configurations`; None where the run left no config."""
    result: dict[str, JSON] | None
    problem: str | None
    """Why its result cannot be read, where it cannot."""
    code: str | None
    data: str | None
    packages: str | None
    python: str | None


@dataclass(frozen=True, slots=True)
class SweepFacts:
    """A sweep's plan, and where it lies."""

    dir: str
    record: SweepRecord


@dataclass(slots=True)
class Collected:
    """All that lies below the given directories."""

    runs: list[RunFacts] = field(default_factory=list)
    sweeps: list[SweepFacts] = field(default_factory=list)
    unusable: dict[str, str] = field(default_factory=dict)
    """Directory to reason: damaged records, and copies of runs that are here already."""
    configurations: dict[bytes, Leaves] = field(default_factory=dict)
    """The leaves of each configuration once, whatever the number of its runs."""
    not_selected: set[tuple[str, int]] = field(default_factory=set)
    """Sweep and number of the jobs whose run ``--where`` does not select."""
    count_not_selected: int = 0
