"""Who made a record: a keyed digest of what a reproduction would execute, with a key that only this user has.

It says that the command, the config and the code were written by a run of this user, and that nobody has changed
them since. What the run left behind has a digest of its own: a manifest can be made anew, this can't without the key.
It is no signature that others could check: their records are theirs to trust or not.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import blake3
import msgspec

from repro_hydra.record.manifest import digest_file
from repro_hydra.record.paths import RunPaths, SweepPaths
from repro_hydra.record.schema import SCHEMA, Part, SweepRecord
from repro_hydra.record.store import RecordError, read, write_json

_KEY_BYTES = 32
_CONTEXT = "repro-hydra record key id v1"
Vouched = Literal["this user", "another key", "nobody", "changed since"]


class Vouch(Part, frozen=True, kw_only=True):
    """``vouch.json``."""

    schema: str = SCHEMA
    algorithm: Literal["blake3-keyed"] = "blake3-keyed"
    key_id: str
    """Tells keys apart, and says nothing of the key."""
    run_id: str
    files: dict[str, str]
    """Name in the record's folder to BLAKE3: what a reproduction goes by."""
    mac: str
    results: dict[str, str] = msgspec.field(default_factory=dict)
    """The same of what the run left: its result, and what it says of data, environment and settings."""
    results_mac: str = ""


def user_key(environ: Mapping[str, str]) -> bytes | None:
    """This user's key, made on first use; None where there is no place for one."""
    path = _key_path(environ)
    if path is None:
        return None
    try:
        key = path.read_bytes()
        return key if len(key) == _KEY_BYTES else None
    except FileNotFoundError:
        pass
    except OSError:
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _other_writer(path)
    except OSError:
        return None
    with os.fdopen(handle, "wb") as stream:
        key = secrets.token_bytes(_KEY_BYTES)
        stream.write(key)
    return key


def vouch(paths: RunPaths, run_id: str, key: bytes | None) -> None:
    """Write ``vouch.json`` for the record as it stands. Without a key there is nothing to write."""
    if key is None:
        return
    files = _files(paths)
    results = _results(paths)
    made = Vouch(
        key_id=_key_id(key),
        run_id=run_id,
        files=files,
        mac=_mac(key, run_id, files),
        results=results,
        results_mac=_mac(key, f"{run_id} results", results),
    )
    write_json(paths.vouch, made, durable=True)


def vouched(paths: RunPaths, key: bytes | None) -> Vouched:
    """Who vouches for what a reproduction of this record would execute."""
    if not paths.vouch.is_file() or paths.vouch.is_symlink():
        return "nobody"
    try:
        stated = read(paths.vouch, Vouch)
        files = _files(paths)
    except (RecordError, OSError):
        return "nobody"
    if key is None or stated.key_id != _key_id(key):
        return "another key"
    expected = _mac(key, stated.run_id, files)
    return "this user" if secrets.compare_digest(expected, stated.mac) else "changed since"


def results_changed(paths: RunPaths, key: bytes | None) -> list[str]:
    """What a run left that is not as it left it, though this user's key vouches for that; nothing where it does not."""
    try:
        stated = read(paths.vouch, Vouch)
        now = _results(paths)
    except (RecordError, OSError):
        return []
    if key is None or stated.key_id != _key_id(key) or not stated.results_mac:
        return []
    if not secrets.compare_digest(_mac(key, f"{stated.run_id} results", stated.results), stated.results_mac):
        return [paths.vouch.name]
    names = sorted({*stated.results, *now})
    return [name for name in names if stated.results.get(name) != now.get(name)]


def vouch_sweep(paths: SweepPaths, record: SweepRecord, key: bytes | None) -> dict[str, str]:
    """What `SweepRecord.vouch` holds: a keyed digest of what going on with the sweep would execute."""
    if key is None:
        return {}
    return {"algorithm": "blake3-keyed", "key_id": _key_id(key), "mac": _sweep_mac(key, paths, record)}


def sweep_vouched(paths: SweepPaths, record: SweepRecord, key: bytes | None) -> Vouched:
    """Who vouches for what going on with this sweep would execute."""
    if not record.vouch:
        return "nobody"
    if key is None or record.vouch.get("key_id") != _key_id(key):
        return "another key"
    expected = _sweep_mac(key, paths, record)
    return "this user" if secrets.compare_digest(expected, record.vouch.get("mac", "")) else "changed since"


def _sweep_mac(key: bytes, paths: SweepPaths, record: SweepRecord) -> str:
    code = digest_file(paths.code) if paths.code.is_file() and not paths.code.is_symlink() else None
    jobs = [[job.num, job.overrides, job.dir] for job in record.jobs]
    executed = [record.sweep_id, record.argv, record.cwd, sorted(record.entry.items()), code, jobs]
    return blake3.blake3(msgspec.json.encode(executed), key=key).hexdigest()


def _files(paths: RunPaths) -> dict[str, str]:
    return _digests(paths.run, paths.config, paths.code)


def _results(paths: RunPaths) -> dict[str, str]:
    return _digests(paths.result, paths.metrics, paths.data, paths.environment, paths.determinism)


def _digests(*files: Path) -> dict[str, str]:
    return {path.name: digest_file(path) for path in files if path.is_file() and not path.is_symlink()}


def _mac(key: bytes, run_id: str, files: Mapping[str, str]) -> str:
    data = msgspec.json.encode([run_id, sorted(files.items())])
    return blake3.blake3(data, key=key).hexdigest()


def _key_id(key: bytes) -> str:
    return blake3.blake3(key, derive_key_context=_CONTEXT).hexdigest()[:16]


def _key_path(environ: Mapping[str, str]) -> Path | None:
    """Beside the list of places; written out for Linux, where `platformdirs` would cost each job 15 ms."""
    if sys.platform != "linux":
        import platformdirs

        return Path(platformdirs.user_state_dir("repro-hydra", appauthor=False), "key")
    state = environ.get("XDG_STATE_HOME", "").strip()
    home = environ.get("HOME", "")
    if os.path.isabs(state):  # noqa: PTH117
        return Path(state, "repro-hydra", "key")
    return Path(home, ".local", "state", "repro-hydra", "key") if home else None


def _other_writer(path: Path) -> bytes | None:
    """The key that another process is making at this moment; None while it is not whole."""
    try:
        key = path.read_bytes()
    except OSError:
        return None
    return key if len(key) == _KEY_BYTES else None
