"""Reading the runs that an aggregate is made of, with no more of each than it needs."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeVar

import msgspec

from repro_hydra.record.find import read_result, walk
from repro_hydra.record.paths import RunPaths, SweepPaths
from repro_hydra.record.schema import JSON, RunRecord, ShownStatus, SweepRecord, Upheld
from repro_hydra.record.store import RecordError, read
from repro_hydra.sweep.configuration import Leaves, configuration, identity

DEFAULT_SEED_KEY = "seed"

T = TypeVar("T", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What an aggregate needs of one run."""

    dir: str
    run_id: str
    status: ShownStatus
    started_at: str
    upheld: Upheld
    seed: JSON
    seed_key: str
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
    environment: str | None


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


class _Options(msgspec.Struct, frozen=True):
    seed: dict[str, JSON] = {}


class _Config(msgspec.Struct, frozen=True):
    schema: str
    resolved: JSON
    unresolved: msgspec.Raw = msgspec.Raw(b"null")
    repro: _Options | None = None


class _Code(msgspec.Struct, frozen=True):
    schema: str
    commit: str | None = None
    tree: str | None = None
    snapshot: JSON = None


class _Environment(msgspec.Struct, frozen=True):
    schema: str
    distributions_digest: str | None = None


def collect(dirs: Iterable[Path], *, now: datetime | None = None, host: str | None = None) -> Collected:
    """Read every run and sweep below `dirs`.

    Parameters
    ----------
    now, host : optional
        What tells a run that is still going on from a lost one; this moment and this machine if not given.
    """
    now = now or datetime.now(timezone.utc)
    host = host or platform.node()
    collected = Collected()
    originals: dict[str, str] = {}
    for located in walk(dirs):
        if located.problem is not None:
            collected.unusable[located.dir] = located.problem
            continue
        try:
            if located.kind == "sweep":
                record = read(SweepPaths(Path(located.dir)).sweep, SweepRecord)
                collected.sweeps.append(SweepFacts(located.dir, record))
            else:
                run = _read_run(located.dir, collected.configurations, now=now, host=host)
                original = originals.setdefault(run.run_id, located.dir)
                if original == located.dir:
                    collected.runs.append(run)
                else:
                    collected.unusable[located.dir] = f"a copy of the run in {original}"
        except RecordError as error:
            collected.unusable[located.dir] = str(error)
    return collected


def _read_run(directory: str, configurations: dict[bytes, Leaves], *, now: datetime, host: str) -> RunFacts:
    paths = RunPaths(Path(directory))
    run = read(paths.run, RunRecord)
    status: ShownStatus = run.status
    if status in ("created", "running"):
        from repro_hydra.record.status import shown_status  # brings psutil, which finished runs do not need

        status = shown_status(run, host=host, now=now)
    config = _read_if_there(paths.config, _Config)
    seed_key = _seed_key(config)
    key: bytes | None = None
    seed = run.seed
    if config is not None:
        unresolved = bytes(config.unresolved)
        plain = b"${" not in unresolved  # most configs: nothing to follow
        leaves = configuration(config.resolved, None if plain else msgspec.json.decode(unresolved), seed_key)
        key = identity(leaves)
        configurations.setdefault(key, leaves)
    result: dict[str, JSON] | None = None
    problem: str | None = None
    if status == "completed":
        try:
            result = read_result(directory)
        except RecordError as error:
            problem = str(error)
    return RunFacts(
        dir=directory,
        run_id=run.run_id,
        status=status,
        started_at=run.started_at or run.created_at,
        upheld=run.upheld,
        seed=seed,
        seed_key=seed_key,
        overrides=run.overrides,
        sweep_id=run.sweep.id if run.sweep else None,
        job_num=run.sweep.job_num if run.sweep else None,
        primary_metric=run.primary_metric,
        error=f"{run.error.type}: {run.error.message}" if run.error else None,
        configuration=key,
        result=result,
        problem=problem,
        code=_code_identity(_read_if_there(paths.code, _Code)),
        environment=getattr(_read_if_there(paths.environment, _Environment), "distributions_digest", None),
    )


def _read_if_there(path: Path, kind: type[T]) -> T | None:
    """The file as `kind`; None where it is missing or damaged: the aggregate then knows less, and says so."""
    try:
        value = msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, RecursionError):
        return None
    return value


def _seed_key(config: _Config | None) -> str:
    key = config.repro.seed.get("key") if config is not None and config.repro is not None else None
    return key if isinstance(key, str) and key else DEFAULT_SEED_KEY


def _code_identity(code: _Code | None) -> str | None:
    """The tree if it is known, since two commits may hold the same files; else snapshot or commit."""
    if code is None:
        return None
    snapshot = code.snapshot
    if isinstance(snapshot, dict):
        snapshot = snapshot.get("tree") or snapshot.get("commit") or snapshot.get("id")
    for candidate in (code.tree, snapshot, code.commit):
        if isinstance(candidate, str) and candidate:
            return candidate
    return None
