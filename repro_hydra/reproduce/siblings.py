"""The other seeds of a run's sweep: what one more seed would give."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from repro_hydra.record.find import read_result
from repro_hydra.record.paths import RECORD_DIR
from repro_hydra.record.schema import RunRecord, SweepJob
from repro_hydra.record.store import RecordError, read
from repro_hydra.record.values import from_json_number
from repro_hydra.reproduce.inside import LeadsOut, path_inside
from repro_hydra.reproduce.original import Original


def sibling_results(original: Original, metric: str) -> list[float] | None:
    """`metric` of every finished job of the same configuration, this one included; None outside of a sweep."""
    if original.sweep is None or original.sweep_dir is None:
        return None
    values = []
    own = _configuration(original.run.overrides, original.sweep.seed_key)
    for job, folder in job_directories(original.sweep_dir, original.sweep.jobs):
        if _configuration(job.overrides, original.sweep.seed_key) != own:
            continue
        try:
            run = read(folder / RECORD_DIR / "run.json", RunRecord)
            result = read_result(str(folder)) if run.status == "completed" else None
        except RecordError:
            continue
        value = from_json_number((result or {}).get(metric))
        if value is not None:
            values.append(value)
    return values


def job_directories(sweep_dir: Path, jobs: list[SweepJob]) -> Iterator[tuple[SweepJob, Path]]:
    """The jobs of a sweep that have a record, each with its directory; a name that leads out of it has none."""
    for job in jobs:
        if job.dir is None:
            continue
        try:
            folder = path_inside(sweep_dir, job.dir)
            path_inside(folder, f"{RECORD_DIR}/run.json")
        except LeadsOut:
            continue
        if (folder / RECORD_DIR / "run.json").is_file():
            yield job, folder


def _configuration(overrides: list[str], seed_key: str) -> frozenset[str]:
    return frozenset(override for override in overrides if override.lstrip("+").partition("=")[0] != seed_key)
