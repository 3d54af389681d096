"""The few fields of a record that an aggregate needs, read without the rest: that takes a quarter of the time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from repro_hydra.record.find import is_known_schema
from repro_hydra.record.paths import RECORD_DIR, RunPaths
from repro_hydra.record.plain_file import read_plain
from repro_hydra.record.schema import JSON, RunRecord, Status, SweepLink, Upheld
from repro_hydra.record.store import read

DEFAULT_SEED_KEY = "seed"

T = TypeVar("T")


class RunFields(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of ``run.json`` that an aggregate needs: a quarter of the time of reading them all."""

    schema: str
    run_id: str
    name: str | None = None
    tags: list[str] = []
    mode: str = ""
    status: Status
    upheld: Upheld = "not_promised"
    seed: JSON = None
    world_size: int = 1
    created_at: str
    started_at: str | None = None
    duration_s: float | None = None
    overrides: list[str] = []
    sweep: SweepLink | None = None
    primary_metric: str | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")


class _Options(msgspec.Struct, frozen=True):
    seed: dict[str, JSON] = {}


class ConfigFields(msgspec.Struct, frozen=True):
    schema: str
    resolved: JSON
    unresolved: msgspec.Raw = msgspec.Raw(b"null")
    repro: _Options | None = None


class _Code(msgspec.Struct, frozen=True):
    schema: str
    commit: str | None = None
    tree: str | None = None
    snapshot: JSON = None


class _Interpreter(msgspec.Struct, frozen=True):
    version: str | None = None


class _Environment(msgspec.Struct, frozen=True):
    schema: str
    distributions_digest: str | None = None
    interpreter: _Interpreter = _Interpreter()


class _Dataset(msgspec.Struct, frozen=True):
    name: str
    digest: str


class _Data(msgspec.Struct, frozen=True):
    schema: str
    datasets: list[_Dataset] = []


class _Reproduction(msgspec.Struct, frozen=True):
    run_id: str | None = None


decode_reproduction = msgspec.json.Decoder(_Reproduction).decode
_decode_run = msgspec.json.Decoder(RunFields).decode
decode_config = msgspec.json.Decoder(ConfigFields).decode
decode_code = msgspec.json.Decoder(_Code).decode
decode_environment = msgspec.json.Decoder(_Environment).decode
decode_data = msgspec.json.Decoder(_Data).decode


def read_run_fields(directory: str) -> RunFields:
    try:
        run = _decode_run(read_plain(f"{directory}/{RECORD_DIR}/run.json"))
        if is_known_schema(run.schema):
            return run
    except (OSError, msgspec.DecodeError, RecursionError):
        pass
    # Read again the slow way, which says what is wrong and where.
    whole = read(RunPaths(Path(directory)).run, RunRecord)
    return msgspec.convert(msgspec.to_builtins(whole), RunFields)


def error_text(raw: msgspec.Raw) -> str | None:
    error = msgspec.json.decode(raw)
    return f"{error.get('type')}: {error.get('message')}" if isinstance(error, dict) else None


def read_if_there(path: str, decode: Callable[[bytes], T]) -> T | None:
    """The file decoded; None where it is missing or damaged: the aggregate then knows less, and says so."""
    try:
        return decoded(read_plain(path), decode)
    except OSError:
        return None


def decoded(data: bytes, decode: Callable[[bytes], T]) -> T | None:
    try:
        return decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None


def seed_key_of(config: ConfigFields | None) -> str:
    key = config.repro.seed.get("key") if config is not None and config.repro is not None else None
    return key if isinstance(key, str) and key else DEFAULT_SEED_KEY


def rank_offset_of(config: ConfigFields | None) -> bool:
    return config is not None and config.repro is not None and config.repro.seed.get("rank_offset") is True


def code_identity(code: _Code | None) -> str | None:
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


def data_identity(data: _Data | None) -> str | None:
    """Names and digests of the declared datasets; None where there is no telling, "" for no dataset."""
    if data is None:
        return None
    return " ".join(sorted(f"{item.name}@{item.digest}" for item in data.datasets))
