"""An environment lock as typed values: an environment, and the files that its packages can be installed from."""

# ruff: noqa: RUF012 (msgspec gives each struct its own copy of an empty list or dict)
from __future__ import annotations

from pathlib import Path

import msgspec

from repro_hydra.record.environment import EnvironmentRecord
from repro_hydra.record.schema import SCHEMA, Part
from repro_hydra.record.store import RecordError, read_raw, write_json

LOCK_NAME = "repro-lock.json"
"""Where a project's lock lies unless the config says otherwise: in the project's top folder."""


class Artifact(Part, frozen=True, kw_only=True):
    """A file that an installer can take a package from."""

    filename: str
    url: str
    hashes: dict[str, str]
    """Algorithm to hexadecimal digest; never empty."""
    size_bytes: int | None = None


class EnvironmentLock(Part, frozen=True, kw_only=True):
    """``repro-lock.json``."""

    schema: str = SCHEMA
    made_at: str
    environment: EnvironmentRecord
    artifacts: dict[str, list[Artifact]] = {}
    """Canonical name to the files that fit this environment, where an index was asked."""
    without_artifacts: dict[str, str] = {}
    """Canonical name to why no file is known although an index was asked."""


def project_lock(given: str | None, cwd: Path, project: Path) -> Path | None:
    """The lock that a run is held against: the one named, else the project's, else none."""
    if given is not None:
        return cwd / Path(given).expanduser()
    usual = project / LOCK_NAME
    return usual if usual.is_file() else None


def read_lock(path: Path) -> EnvironmentLock:
    """The lock at `path`; an ``environment.json`` of a record is one too, without artifacts.

    Raises
    ------
    RecordError
        It cannot be read as either.
    """
    raw = read_raw(path)
    bare = "environment" not in raw and "interpreter" in raw
    try:
        if bare:
            environment = msgspec.convert(raw, EnvironmentRecord)
            return EnvironmentLock(made_at="", environment=environment)
        return msgspec.convert(raw, EnvironmentLock)
    except msgspec.ValidationError as error:
        raise RecordError(f"{path}: expected an environment lock: {error}") from None


def write_lock(path: Path, lock: EnvironmentLock) -> None:
    """Write it in one step; a lock that was there is replaced."""
    write_json(path, lock, durable=True)
