"""``repro_seeds.json`` in the sweep's directory: what was run, what it gave, what was decided.

A sweep resumes from it.
"""

# ruff: noqa: RUF012 (msgspec gives each struct its own copy of an empty list)
from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from repro_hydra.record.schema import JSON, SCHEMA, Part
from repro_hydra.record.store import RecordError, read, write_json

FILE = "repro_seeds.json"


class SeedEntry(Part, frozen=True, kw_only=True):
    """One job."""

    seed: int
    job: int
    status: str
    """planned, completed or failed."""
    value: JSON = None
    error: str | None = None


class DecisionEntry(Part, frozen=True, kw_only=True):
    """What the rule said last."""

    done: bool
    reason: str
    low: float | None = None
    high: float | None = None
    method: str = ""


class ConfigurationEntry(Part, frozen=True, kw_only=True):
    """One configuration."""

    overrides: list[str]
    seeds: list[SeedEntry] = []
    decision: DecisionEntry | None = None


class SeedsLog(Part, frozen=True, kw_only=True):
    """The whole file."""

    schema: str = SCHEMA
    options: dict[str, JSON]
    next_job: int = 0
    configurations: list[ConfigurationEntry] = []


def write_log(directory: Path, log: SeedsLog) -> None:
    """Replace the file in one step."""
    write_json(directory / FILE, log, durable=True)


def read_log(directory: Path) -> SeedsLog:
    """The log of an earlier sweep, with what its jobs left behind though it was never noted.

    Raises
    ------
    RecordError
        There is none, or it cannot be read.
    """
    log = read(directory / FILE, SeedsLog)
    results = _results_of_jobs(directory)
    metric = log.options.get("metric")
    configurations = []
    for item in log.configurations:
        seeds = [_completed_since(entry, results.get(entry.job), metric) for entry in item.seeds]
        kept = [entry for entry in seeds if entry.status != "planned"]
        configurations.append(msgspec.structs.replace(item, seeds=kept))
    return msgspec.structs.replace(log, configurations=configurations)


def _completed_since(entry: SeedEntry, result: dict[str, Any] | None, metric: object) -> SeedEntry:
    if entry.status != "planned" or result is None or not isinstance(metric, str) or metric not in result:
        return entry
    return msgspec.structs.replace(entry, status="completed", value=result[metric])


def _results_of_jobs(directory: Path) -> dict[int, dict[str, Any]]:
    """Job number to result, from the jobs' own records; empty where they made none."""
    from repro_hydra.sweep.collect import collect

    try:
        runs = collect([directory]).runs
    except (OSError, RecordError):
        return {}
    return {run.job_num: run.result for run in runs if run.job_num is not None and run.result is not None}
