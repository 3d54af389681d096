"""The directories of runs, copied into an export: secrets looked for again, and names taken out on request."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from repro_hydra.crate.identity import Identity
from repro_hydra.crate.packed import NotUnpacked, forms_of
from repro_hydra.record.export import ExportedRun
from repro_hydra.record.manifest import digest_file, read_manifest, write_manifest
from repro_hydra.record.paths import RECORD_DIR, RunPaths
from repro_hydra.record.redact import find_secret, redact
from repro_hydra.record.schema import JSON
from repro_hydra.record.store import RecordError, encode, read_raw, write_json
from repro_hydra.record.values import to_json

_TEXT_BYTES = 64 << 20
_NEVER = frozenset({f"{RECORD_DIR}-earlier", "__pycache__", "queue"})
_OF_THIS_MACHINE = ("vouch.json", "processes", "tracking")
"""Of the record; they name this user's key, processes and servers."""
_CODE = (".patch", ".bundle")
_NAMED_FIELDS: dict[str, dict[str, JSON]] = {
    "run.json": {"user": "anonymous", "host": "anonymous", "slurm": {}, "pid": 0, "pid_started_at": None},
    "sweep.json": {"host": "anonymous", "slurm_job_ids": [], "pid": 0, "pid_started_at": None},
    "environment.json": {"slurm": {}},
}
"""Fields that are about one person or machine and nothing else."""
_CODE_FIELDS: dict[str, JSON] = {
    "commit": None, "commit_message": None, "commit_date": None, "branch": None, "remote": None, "snapshot": None,
    "snapshot_ref": None, "bundle": None, "patch": None,
}  # fmt: skip
"""A public commit leads to its authors; the export's own bundle holds the tree."""


@dataclass(slots=True)
class Copied:
    """What became of the files."""

    runs: list[ExportedRun] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    """``FILE:LINE: looks like …``."""


def copy_run(
    run_dir: Path, target: Path, name: str, *, identity: Identity | None, exclude: Sequence[str], into: Copied
) -> None:
    """Copy what a run left, other runs below it not."""
    rewritten: list[str] = []
    left_out: dict[str, str] = {}
    for relative in _files(run_dir):
        source, destination = run_dir / relative, target / _named(relative, identity)
        reason = _why_left_out(relative, exclude, identity)
        if reason is None and not stat.S_ISREG(source.lstat().st_mode):
            reason = "neither a file nor a directory"
        if reason is not None:
            left_out[_named(relative, identity)] = reason
            continue
        if relative == f"{RECORD_DIR}/manifest.json":
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, destination)  # stays, unless something is rewritten below
            continue
        outcome = _copy_file(source, destination, relative, identity, into)
        if outcome is True or (outcome is False and destination != target / relative):
            rewritten.append(_named(relative, identity))
        elif isinstance(outcome, str):
            left_out[_named(relative, identity)] = outcome
    manifest = RunPaths(run_dir).manifest
    before = digest_file(manifest) if manifest.is_file() else None
    if rewritten or left_out:
        _write_manifest(RunPaths(target), left_out)
    run_id = str(_raw(RunPaths(run_dir).run).get("run_id", ""))
    into.runs.append(
        ExportedRun(
            dir=name,
            run_id=run_id,
            original_manifest=None if identity is not None else before,
            rewritten=rewritten,
            left_out=left_out,
        )
    )


def _named(relative: str, identity: Identity | None) -> str:
    """A file's name in the export: a folder may be called after its override, and that after its user."""
    return relative if identity is None else identity.text(relative)


def _write_manifest(paths: RunPaths, left_out: dict[str, str]) -> None:
    """Of what is there; what is not stands in it with the reason, so that nobody takes it for never written."""
    write_manifest(paths)
    manifest = read_manifest(paths)
    write_json(paths.manifest, msgspec.structs.replace(manifest, left_out={**manifest.left_out, **left_out}))


def copy_shared(
    source_dir: Path, target: Path, jobs: Sequence[str] | None, identity: Identity | None, into: Copied
) -> None:
    """The record of a sweep: its plan (of `jobs`, if given) and what its jobs share."""
    for file in sorted((source_dir / RECORD_DIR).iterdir()):
        if not file.is_file() or file.is_symlink():
            continue
        relative = f"{RECORD_DIR}/{file.name}"
        if identity is not None and file.suffix in _CODE:
            continue
        _copy_file(file, target / relative, relative, identity, into)
    plan = target / RECORD_DIR / "sweep.json"
    if jobs is not None and plan.is_file():
        raw = _raw(plan)
        raw["jobs"] = [job for job in raw.get("jobs", []) if job.get("dir") in jobs]
        plan.write_bytes(encode(raw))


def _secrets_in(data: bytes, source: Path) -> list[str]:
    """The first secret in a file, or in what is packed in it."""
    with contextlib.suppress(
        NotUnpacked
    ):  # of an archive that nobody could open here nothing more can be said
        for form in forms_of(data):
            found = find_secret(form)
            if found is not None:
                where = f"{source}:{found[1]}" if form is data else f"{source}: in what is packed in it"
                return [f"{where}: looks like {found[0]}"]
    return []


def _files(run_dir: Path) -> Iterator[str]:
    """All files below, relative, in order; not those of other runs."""
    for folder, folders, names in os.walk(run_dir):
        here = Path(folder)
        if here not in (run_dir, run_dir / RECORD_DIR) and (here / RECORD_DIR).is_dir():
            folders[:] = []
            continue
        folders[:] = sorted(name for name in folders if name not in _NEVER)
        yield from ((here / name).relative_to(run_dir).as_posix() for name in sorted(names))


def _why_left_out(relative: str, exclude: Sequence[str], identity: Identity | None) -> str | None:
    if any(fnmatchcase(relative, pattern) for pattern in exclude) and not relative.startswith(RECORD_DIR):
        return "--exclude"
    if identity is None:
        return None
    parts = relative.split("/")
    if parts[0] == RECORD_DIR and (parts[1] in _OF_THIS_MACHINE or parts[-1].endswith(_CODE)):
        return "--anonymous: of this user's machine, or of the repository's history"
    return None


def _copy_file(
    source: Path, destination: Path, relative: str, identity: Identity | None, into: Copied
) -> bool | str:
    """Copy one file; True where it is not as it was, a text where it was left out."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    of_record = relative.startswith(f"{RECORD_DIR}/")
    if source.stat().st_size > _TEXT_BYTES:
        # Weights and the like: as they are, or, where nobody may be named in them, not at all.
        if identity is not None:
            return f"--anonymous: more than {_TEXT_BYTES >> 20} MiB, and so not looked through"
        shutil.copyfile(source, destination)
        return False
    data = source.read_bytes()
    new = data
    if of_record and relative.endswith(".json"):
        new = _record_file(source.name, data, identity)
    elif of_record and relative.endswith(".jsonl"):
        new = b"".join(_record_line(line, identity) for line in data.splitlines(keepends=True))
    elif identity is not None and not relative.endswith(_CODE):
        text = _as_text(data)
        if text is not None:
            new = identity.text(text).encode()
    if identity is not None and not relative.endswith(_CODE) and (named := identity.stands_in(new)):
        return f"--anonymous: it holds the {', '.join(named)}, and is no text that could be changed"
    into.secrets += _secrets_in(new, source)
    destination.write_bytes(new)
    return new != data


def _record_file(name: str, data: bytes, identity: Identity | None) -> bytes:
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return data
    new = redact(value)
    if identity is not None and isinstance(new, dict):
        fields = _NAMED_FIELDS.get(name, {})
        new = {key: fields.get(key, item) for key, item in new.items()}
        if name == "code.json":
            new = _anonymous_code(new)
        if name == "environment.json":
            new = _anonymous_environment(new)
        new = identity.value(new)
    return data if new == value else encode(to_json(new))


def _anonymous_code(code: dict[str, Any]) -> dict[str, Any]:
    others = [_anonymous_code(other) for other in code.get("others", []) if isinstance(other, dict)]
    kept = {key: _CODE_FIELDS.get(key, item) for key, item in code.items()}
    return {**kept, "others": others} if "others" in code else kept


def _anonymous_environment(environment: dict[str, Any]) -> dict[str, Any]:
    variables = environment.get("variables")
    gpus = environment.get("gpus")
    new = dict(environment)
    if isinstance(variables, dict):
        new["variables"] = {k: v for k, v in variables.items() if k not in ("USER", "LOGNAME", "MASTER_ADDR")}
    if isinstance(gpus, list):
        new["gpus"] = [{**gpu, "uuid": None} for gpu in gpus if isinstance(gpu, dict)]
    return new


def _record_line(line: bytes, identity: Identity | None) -> bytes:
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return line
    new = redact(value) if identity is None else identity.value(redact(value))
    return line if new == value else msgspec.json.encode(new) + b"\n"


def _as_text(data: bytes) -> str | None:
    if b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _raw(path: Path) -> dict[str, Any]:
    try:
        return dict(read_raw(path))
    except RecordError:
        return {}
