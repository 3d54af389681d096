"""A record as somebody else's work: read whole, checked, and nothing of it trusted, opened or run on the way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from repro_hydra.record.code import CodeRecord
from repro_hydra.record.data import DataRecord
from repro_hydra.record.environment import Distribution, EnvironmentRecord
from repro_hydra.record.manifest import digest_bytes
from repro_hydra.record.paths import RECORD_DIR, RunPaths
from repro_hydra.record.schema import JSON, SCHEMA_MAJOR, ConfigRecord, Manifest, RunRecord, SweepRecord
from repro_hydra.record.store import RecordError
from repro_hydra.reproduce.exported import with_exported_code
from repro_hydra.reproduce.inside import LeadsOut, read_inside

T = TypeVar("T", bound=msgspec.Struct)
_OBJECT_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_CODE_FILE = re.compile(r"code(?:-[0-9]{1,3})?\.(?:patch|bundle)")
_PATCH = "code.patch"
_SWEEP_DEPTH = 8
"""How far above a job's directory its sweep may lie (``hydra.sweep.subdir`` may have slashes)."""


@dataclass(frozen=True, kw_only=True)
class Original:
    """The files of a record as typed values; None where one is absent."""

    dir: Path
    run: RunRecord
    config: ConfigRecord | None = None
    code: CodeRecord | None = None
    patch: bytes | None = None
    code_files: Mapping[str, bytes] = field(default_factory=dict)
    """The patches and bundles that ``code.json`` names, by name; those whose digest is another one are left out."""
    environment: EnvironmentRecord | None = None
    distributions: list[Distribution] | None = None
    determinism: JSON = None
    data: DataRecord | None = None
    result: dict[str, JSON] | None = None
    logged: list[dict[str, JSON]] = field(default_factory=list)
    manifest: Manifest | None = None
    sweep_dir: Path | None = None
    sweep: SweepRecord | None = None
    problems: tuple[str, ...] = ()
    """What of the record is damaged or leads out of its folder, in sentences."""

    @property
    def paths(self) -> RunPaths:
        return RunPaths(self.dir)


class _Reader:
    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.problems: list[str] = []

    def bytes_of(self, name: str, folder: Path | None = None) -> bytes | None:
        try:
            return read_inside(folder or self.run_dir, name)
        except LeadsOut as error:
            self.problems.append(str(error))
        except OSError as error:
            self.problems.append(f"{name}: cannot be read ({error.strerror})")
        return None

    def raw(self, name: str, folder: Path | None = None) -> Any:
        data = self.bytes_of(name, folder)
        if data is None:
            return None
        try:
            value = msgspec.json.decode(data)
        except (msgspec.DecodeError, RecursionError) as error:
            self.problems.append(f"{name}: truncated or damaged; expected JSON ({error})")
            return None
        if not isinstance(value, dict):
            self.problems.append(f"{name}: expected a JSON object, found {type(value).__name__}")
            return None
        return value

    def typed(self, name: str, kind: type[T], folder: Path | None = None) -> T | None:
        value = self.raw(name, folder)
        if value is None:
            return None
        schema = value.get("schema")
        if not isinstance(schema, str) or schema.partition(".")[0] != str(SCHEMA_MAJOR):
            self.problems.append(f"{name}: schema: expected {SCHEMA_MAJOR}.x, found {schema!r}")
            return None
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            self.problems.append(f"{name}: {error}")
            return None


def read_original(run_dir: Path) -> Original:
    """The record in `run_dir`.

    Raises
    ------
    RecordError
        Where ``run.json`` cannot be read as one: without it there is no run to speak of.
    """
    reader = _Reader(run_dir)
    run = reader.typed(f"{RECORD_DIR}/run.json", RunRecord)
    if run is None:
        reason = reader.problems[0] if reader.problems else f"expected {RECORD_DIR}/run.json, found none"
        raise RecordError(f"{run_dir}: {reason}")
    sweep_dir, sweep = _sweep_of(run, run_dir)
    code = _checked_code(reader, reader.typed(f"{RECORD_DIR}/code.json", CodeRecord))
    files = _code_files(reader, code, sweep_dir)
    code = with_exported_code(run_dir, code, files, reader.problems)
    environment = reader.typed(f"{RECORD_DIR}/environment.json", EnvironmentRecord)
    result = reader.raw(f"{RECORD_DIR}/result.json")
    return Original(
        dir=run_dir,
        run=run,
        config=reader.typed(f"{RECORD_DIR}/config.json", ConfigRecord),
        code=code,
        patch=files.get(_PATCH),
        code_files=files,
        environment=environment,
        distributions=_distributions_of(reader, environment, sweep_dir),
        determinism=reader.raw(f"{RECORD_DIR}/determinism.json"),
        data=reader.typed(f"{RECORD_DIR}/data.json", DataRecord),
        result=result,
        logged=_logged(reader),
        manifest=reader.typed(f"{RECORD_DIR}/manifest.json", Manifest),
        sweep_dir=sweep_dir,
        sweep=sweep,
        problems=tuple(reader.problems),
    )


def _checked_code(reader: _Reader, code: CodeRecord | None) -> CodeRecord | None:
    """The code record, if what it calls object ids are some: they are given to git."""
    if code is None:
        return None
    for one in (code, *code.others):
        named = {name: getattr(one, name) for name in ("commit", "tree", "snapshot")}
        stands_on = one.bundle.stands_on if one.bundle is not None else []
        named |= {f"bundle.stands_on.{number}": value for number, value in enumerate(stands_on)}
        for name, value in named.items():
            if value is not None and not _OBJECT_ID.fullmatch(value):
                reader.problems.append(f"code.json: {name}: expected an object id, found {value!r}")
                return None
    return code


def _sweep_of(run: RunRecord, run_dir: Path) -> tuple[Path | None, SweepRecord | None]:
    """The sweep above `run_dir` that says it is this job's: what a record calls its sweep's path is not opened."""
    if run.sweep is None:
        return None, None
    for folder in list(run_dir.parents)[:_SWEEP_DEPTH]:
        reader = _Reader(folder)
        sweep = reader.typed(f"{RECORD_DIR}/sweep.json", SweepRecord)
        if sweep is not None and sweep.sweep_id == run.sweep.id:
            return folder, sweep
    return None, None


def _code_files(reader: _Reader, code: CodeRecord | None, sweep_dir: Path | None) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for one in () if code is None else (code, *code.others):
        for file in (one.patch, one.bundle):
            if file is None:
                continue
            # The path in the record is not followed: a file lies in the run's record, or in that of its sweep.
            name = file.path.rpartition("/")[2]
            if not _CODE_FILE.fullmatch(name):
                reader.problems.append(f"code.json: expected the name of a patch or a bundle, found {name!r}")
                continue
            data = reader.bytes_of(f"{RECORD_DIR}/{name}")
            if data is None and sweep_dir is not None:
                data = reader.bytes_of(f"{RECORD_DIR}/{name}", sweep_dir)
            if data is not None and digest_bytes(data) != file.blake3:
                reader.problems.append(f"{name}: is not the one that code.json names (its digest differs)")
            elif data is not None:
                found[name] = data
    return found


def _distributions_of(
    reader: _Reader, environment: EnvironmentRecord | None, sweep_dir: Path | None
) -> list[Distribution] | None:
    if environment is None or environment.distributions is not None:
        return None if environment is None else environment.distributions
    if sweep_dir is None:
        return None
    shared = reader.typed(f"{RECORD_DIR}/distributions.json", _Shared, sweep_dir)
    if shared is None or shared.distributions_digest != environment.distributions_digest:
        return None
    return shared.distributions


class _Shared(msgspec.Struct, frozen=True):
    distributions_digest: str | None = None
    distributions: list[Distribution] | None = None


def _logged(reader: _Reader) -> list[dict[str, JSON]]:
    """The lines of ``metrics.jsonl``; a last one that a killed job left half is passed over."""
    data = reader.bytes_of(f"{RECORD_DIR}/metrics.jsonl") or b""
    rows: list[dict[str, JSON]] = []
    lines = data.split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = msgspec.json.decode(line)
        except (msgspec.DecodeError, RecursionError):
            if number < len(lines):
                reader.problems.append(f"metrics.jsonl: line {number} is damaged")
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows
