"""What a reader must know of a row before believing its numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from repro_hydra.record.schema import JSON, SweepJob
from repro_hydra.sweep.collect import Collected, RunFacts
from repro_hydra.sweep.configuration import varying_keys
from repro_hydra.sweep.group import Group

_MOST_NAMED = 8


def notes_of_group(group: Group, collected: Collected) -> list[str]:
    """Notes that hold for each metric of a configuration."""
    notes = []
    gone = [job for job in group.missing if job.status == "completed"]
    never = [job for job in group.missing if job.status != "completed"]
    if gone:
        notes.append(f"completed, and the record is gone: {_jobs(gone)}")
    if never:
        notes.append(f"planned, and no run of it is there: {_jobs(never)}")
    if group.from_overrides:
        notes.append("no run of it left a config: the overrides are shown")
    strangers = sum(run.sweep_id is None for run in group.runs)
    if group.planned is not None and strangers:
        notes.append(f"{_count(strangers, 'run')} beside the planned ones, of no sweep")
    if len(group.configurations) > 1:
        differing = varying_keys([collected.configurations[key] for key in sorted(group.configurations)])
        notes.append(f"the runs also differ in {_some(differing)}: they are no repeats of one another")
    return notes


def notes_of_runs(runs: Sequence[RunFacts]) -> list[str]:
    """Notes on the runs whose values stand in one row."""
    notes = []
    repeated = [seed for seed, count in Counter(_name(run.seed) for run in runs).items() if count > 1]
    if repeated:
        notes.append(
            f"seeds that were run more than once: {_some(repeated)}; such runs are not independent, so the "
            "interval is too narrow"
        )
    not_upheld = [run for run in runs if run.upheld == "no"]
    if not_upheld:
        notes.append(f"{len(not_upheld)} of {_count(len(runs), 'run')} not upheld: {_seeds(not_upheld)}")
    waived = [run for run in runs if run.upheld == "waived"]
    if waived:
        notes.append(f"{len(waived)} of {_count(len(runs), 'run')} upheld by waiver only: {_seeds(waived)}")
    notes += _differing("code", [run.code for run in runs])
    notes += _differing("installed packages", [run.environment for run in runs])
    return notes


def _differing(what: str, identities: Iterable[str | None]) -> list[str]:
    counts = Counter(identities)
    known = [identity for identity in counts if identity is not None]
    if len(known) > 1:
        shown = _some([identity[:10] for identity in known])
        return [f"the runs differ in {what} ({shown}): they are no repeats of one another"]
    if known and counts[None]:
        return [f"{what} unknown for {_count(counts[None], 'run')}"]
    return []


def _jobs(jobs: Iterable[SweepJob]) -> str:
    return _some([f"seed {job.seed}" if job.seed is not None else f"job {job.num}" for job in jobs])


def _seeds(runs: Iterable[RunFacts]) -> str:
    return _some([f"seed {_name(run.seed)}" for run in runs])


def _name(seed: JSON) -> str:
    return "unknown" if seed is None else str(seed)


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
