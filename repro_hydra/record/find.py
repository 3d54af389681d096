"""Finding records: the runs and sweeps below a folder, and the one that a person means.

`list` reads ten thousand runs in well under a second, so the walk works on strings and only a few fields of each
record are decoded. Whatever looks like a record and cannot be read as one is told, never passed over.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from repro_hydra.record.paths import RECORD_DIR, RunPaths, SweepPaths
from repro_hydra.record.plain_file import read_plain
from repro_hydra.record.schema import JSON, SCHEMA_MAJOR, RunRecord, Status, SweepRecord, Upheld
from repro_hydra.record.store import RecordError, read

Kind = Literal["run", "sweep", "damaged"]

MIN_PREFIX = 4
"""Hex digits that a shortened run id must have at least."""

NOT_ENTERED = frozenset(
    {".git", ".venv", "node_modules", "site-packages", "__pycache__", ".hydra", f"{RECORD_DIR}-earlier"}
)
_RUN_FILE = f"/{RECORD_DIR}/run.json"
_RESULT_FILE = f"/{RECORD_DIR}/result.json"
_SWEEP_FILE = f"/{RECORD_DIR}/sweep.json"
_VERSION = re.compile(r"\d+\.\d+")
_HEX = re.compile(rf"[0-9a-f]{{{MIN_PREFIX},32}}", re.IGNORECASE)


class Located(msgspec.Struct, frozen=True):
    """A directory that holds a record, or something in the place of one."""

    dir: str
    """Absolute."""
    kind: Kind
    problem: str | None = None
    """Why it is damaged."""


class UnresolvedReference(ValueError):
    """What somebody typed for a run names none, or several; the message says which."""


class RunHead(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of ``run.json`` that a list of runs shows."""

    schema: str
    run_id: str
    name: str | None = None
    tags: list[str] = []
    mode: str
    status: Status
    upheld: Upheld = "not_promised"
    seed: JSON = None
    created_at: str
    started_at: str | None = None
    duration_s: float | None = None
    primary_metric: str | None = None


class _SweepHead(msgspec.Struct, frozen=True, kw_only=True):
    schema: str
    sweep_id: str


_decode_head = msgspec.json.Decoder(RunHead).decode
_decode_sweep_head = msgspec.json.Decoder(_SweepHead).decode


def walk(roots: Iterable[Path]) -> Iterator[Located]:
    """Every run and sweep below `roots` (and the roots themselves), each once, in no promised order.

    A sweep comes before its jobs. Links are not followed, save a root that is one. A directory whose record
    folder holds neither a run nor a sweep, and one that may not be read, come as damaged.
    """
    seen: set[str] = set()
    for root in roots:
        shown = os.path.abspath(root)  # noqa: PTH100 (keeps the name that the user gave, links and all)
        real = os.path.realpath(shown)
        yield from _walk(shown, real, seen)


def _walk(shown: str, real: str, seen: set[str]) -> Iterator[Located]:
    # A root may lie below another root: what counts as seen is the real path, what is told is the user's.
    cut = len(shown)
    pending = [shown]
    while pending:
        here = pending.pop()
        key = real + here[cut:]
        if key in seen:
            continue
        seen.add(key)
        try:
            with os.scandir(here) as entries:
                names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError as error:
            yield Located(here, "damaged", f"{here}: cannot be read ({error.strerror})")
            continue
        for name in names:
            if name == RECORD_DIR:
                yield from _records_of(here)
            elif name not in NOT_ENTERED:
                pending.append(f"{here}/{name}")


def _records_of(directory: str) -> Iterator[Located]:
    # `sweep.json` first: whoever reads in order knows the plan before the jobs.
    found = False
    if os.path.exists(directory + _SWEEP_FILE):  # noqa: PTH110 (10,000 times)
        found = True
        yield Located(directory, "sweep")
    if os.path.exists(directory + _RUN_FILE):  # noqa: PTH110
        found = True
        yield Located(directory, "run")
    if not found:
        reason = f"{directory}/{RECORD_DIR}: expected run.json or sweep.json, found neither"
        yield Located(directory, "damaged", reason)


def read_head(directory: str) -> RunHead:
    """The head of the run in `directory`.

    Raises
    ------
    RecordError
        Where its ``run.json`` cannot be read as one.
    """
    path = directory + _RUN_FILE
    try:
        head = _decode_head(read_plain(path))
        if is_known_schema(head.schema):
            return head
    except (OSError, msgspec.DecodeError, RecursionError):
        pass
    # Read again the slow way, which says what is wrong and where.
    run = read(Path(path), RunRecord)
    return msgspec.convert(msgspec.structs.asdict(run), RunHead)


def read_sweep_id(directory: str) -> str:
    """The id of the sweep in `directory`; `RecordError` where its ``sweep.json`` cannot be read as one."""
    path = directory + _SWEEP_FILE
    try:
        head = _decode_sweep_head(read_plain(path))
        if is_known_schema(head.schema):
            return head.sweep_id
    except (OSError, msgspec.DecodeError, RecursionError):
        pass
    return read(Path(path), SweepRecord).sweep_id


def read_result(directory: str) -> dict[str, JSON] | None:
    """The final metrics of the run in `directory`; None where it has left none (yet).

    Raises
    ------
    RecordError
        Where ``result.json`` is there and cannot be read as a result.
    """
    path = directory + _RESULT_FILE
    try:
        data = read_plain(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        result = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RecordError(f"{path}: expected JSON, found {len(data)} bytes that are not ({error})") from None
    if not isinstance(result, dict):
        raise RecordError(f"{path}: expected a JSON object, found {type(result).__name__}")
    schema = result.get("schema")
    if isinstance(schema, str) and _VERSION.fullmatch(schema):  # else it is a metric of that name
        if not is_known_schema(schema):
            raise RecordError(f"{path}: schema: expected {SCHEMA_MAJOR}.x, found {schema!r}")
        del result["schema"]
    return result


def is_known_schema(schema: str) -> bool:
    """Whether this version of the package reads records of version `schema`."""
    return schema.partition(".")[0] == str(SCHEMA_MAJOR)


def resolve(reference: str, roots: Sequence[Path]) -> Located:
    """The run or sweep that `reference` means.

    Parameters
    ----------
    reference : str
        A run or sweep directory, the ``.repro`` folder in one, a run or sweep id, or the first digits of one
        (at least four).
    roots : sequence of Path
        Where ids are looked up.

    Raises
    ------
    UnresolvedReference
        It names none, or more than one.
    """
    directory = Path(reference).expanduser()
    is_id = _HEX.fullmatch(reference) is not None
    if directory.is_dir():
        located = _record_in(directory)
        if located is not None:
            return located
        if not is_id:
            raise UnresolvedReference(
                f"{reference}: expected a run or a sweep, found a folder without a record "
                f"({RECORD_DIR}/run.json or {RECORD_DIR}/sweep.json). Run: repro-hydra list {reference}"
            )
    if not is_id:
        raise UnresolvedReference(
            f"{reference}: no such directory, and no run id ({MIN_PREFIX} to 32 hexadecimal digits). "
            "Run: repro-hydra list"
        )
    return _by_id(reference.lower(), roots)


def _record_in(directory: Path) -> Located | None:
    absolute = Path(os.path.abspath(directory))  # noqa: PTH100
    if absolute.name == RECORD_DIR:
        absolute = absolute.parent
    if RunPaths(absolute).run.exists():
        return Located(str(absolute), "run")
    if SweepPaths(absolute).sweep.exists():
        return Located(str(absolute), "sweep")
    return None


def _by_id(prefix: str, roots: Sequence[Path]) -> Located:
    matches: dict[str, Located] = {}
    for located in walk(roots):
        identity = _identity(located)
        if identity is not None and identity.startswith(prefix):
            # A record that was copied has the same id in two places: the first is as good as the other.
            matches.setdefault(identity, located)
    if len(matches) == 1:
        return next(iter(matches.values()))
    if not matches:
        searched = ", ".join(str(root) for root in roots) or "no place at all"
        raise UnresolvedReference(f"{prefix}: no run or sweep has this id (searched {searched})")
    listed = "".join(f"\n  {identity}  {located.dir}" for identity, located in sorted(matches.items()))
    raise UnresolvedReference(f"{prefix}: {len(matches)} runs have ids that begin so:{listed}")


def _identity(located: Located) -> str | None:
    try:
        if located.kind == "run":
            return read_head(located.dir).run_id
        if located.kind == "sweep":
            return read_sweep_id(located.dir)
    except RecordError:
        pass  # a damaged record has no id to be found by; its directory still names it
    return None
