"""Old records, which go only where somebody asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from repro_hydra.record.find import Located
from repro_hydra.record.paths import RunPaths, SweepPaths
from repro_hydra.record.schema import RunRecord, SweepRecord
from repro_hydra.record.status import process_is_alive, shown_status
from repro_hydra.record.store import RecordError, read
from repro_hydra.record.times import parse_utc


def old_records(located: Sequence[Located], before: datetime, host: str, now: datetime) -> list[str]:
    """The directories of runs that ended before `before`, and of sweeps all of whose runs are among them.

    A run that runs stays, however old it is; so does a record that cannot be read.
    """
    runs = [one.dir for one in located if one.kind == "run"]
    old = {directory for directory in runs if _is_old_run(Path(directory), before, host, now)}
    for sweep in (one.dir for one in located if one.kind == "sweep"):
        jobs = [run for run in runs if run.startswith(f"{sweep}/")]
        if all(job in old for job in jobs) and _is_old_sweep(Path(sweep), before, host):
            old.add(sweep)
        else:
            old.difference_update(jobs)  # what the jobs of a sweep share lies with the sweep: all or none
    return sorted(old)


def _is_old_run(directory: Path, before: datetime, host: str, now: datetime) -> bool:
    try:
        run = read(RunPaths(directory).run, RunRecord)
        ended = parse_utc(run.ended_at or run.heartbeat_at or run.created_at)
    except (RecordError, ValueError):
        return False
    return shown_status(run, host=host, now=now) not in ("created", "running") and ended < before


def _is_old_sweep(directory: Path, before: datetime, host: str) -> bool:
    try:
        sweep = read(SweepPaths(directory).sweep, SweepRecord)
        ended = parse_utc(sweep.ended_at or sweep.created_at)
    except (RecordError, ValueError):
        return False
    alive = sweep.ended_at is None and (
        sweep.host != host or process_is_alive(sweep.pid, sweep.pid_started_at)
    )
    return not alive and ended < before
