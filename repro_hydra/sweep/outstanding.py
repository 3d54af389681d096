"""Which jobs of a sweep are done, which go on, and which have to be submitted again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from repro_hydra.record.find import walk
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.schema import RunRecord, SweepJob, SweepRecord
from repro_hydra.record.status import shown_status
from repro_hydra.record.store import RecordError, read

State = Literal["completed", "goes on", "again"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterState:
    """What the cluster says of a job, in its own words."""

    is_over: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobNow:
    """A planned job, and how it stands."""

    job: SweepJob
    state: State
    status: str
    """As `list` shows it; ``never ran`` where there is no record, ``waiting`` where the cluster has it."""
    dir: Path | None
    """Where its record is."""
    reason: str


def jobs_now(
    sweep: SweepRecord,
    sweep_dir: Path,
    cluster: Mapping[str, ClusterState],
    *,
    host: str,
    now: datetime,
) -> list[JobNow]:
    """Each planned job of the sweep as it stands.

    Parameters
    ----------
    cluster : mapping
        Job ids to what the cluster says; empty where there is none to ask.
    """
    runs = _runs_of(sweep, sweep_dir)
    return [_now(job, runs.get(job.num), cluster.get(job.job_id or ""), host, now) for job in sweep.jobs]


def _now(
    job: SweepJob,
    found: tuple[Path, RunRecord] | None,
    cluster: ClusterState | None,
    host: str,
    now: datetime,
) -> JobNow:
    directory = None if found is None else found[0]
    status: str = "never ran" if found is None else shown_status(found[1], host=host, now=now)
    reason = status
    if found is not None and found[1].error is not None:
        reason = f"{status}: {found[1].error.type}: {found[1].error.message}"
    if cluster is not None and cluster.is_over:
        reason += f" ({cluster.text})"
    state: State = "again"
    if status == "completed":
        state = "completed"
    elif cluster is not None and not cluster.is_over:
        state = "goes on"
        status = status if status == "running" else "waiting"
        reason = cluster.text
    elif status in ("created", "running") and cluster is None:
        state = "goes on"
    elif status in ("created", "running"):
        status = "lost"  # the cluster says that it is over, and its record does not know
    return JobNow(job=job, state=state, status=status, dir=directory, reason=reason)


def _runs_of(sweep: SweepRecord, sweep_dir: Path) -> dict[int, tuple[Path, RunRecord]]:
    """The record of each job, wherever below the sweep it lies."""
    runs: dict[int, tuple[Path, RunRecord]] = {}
    for located in walk([sweep_dir]):
        if located.kind != "run":
            continue
        try:
            run = read(RunPaths(Path(located.dir)).run, RunRecord)
        except RecordError:
            continue  # a record that cannot be read is none: its job is run again, and the record put aside
        if run.sweep is not None and run.sweep.id == sweep.sweep_id:
            runs[run.sweep.job_num] = Path(located.dir), run
    return runs
