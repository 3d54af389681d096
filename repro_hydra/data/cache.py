"""What an earlier look at a dataset found, so that the next one costs a walk.

Only a cache: deleting it loses nothing, a damaged one is ignored and made again. Two processes that write at
once each leave a whole file, and the later one stays. It lies with the user, not with the project, since
inodes and times are this machine's.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec
import platformdirs
from blake3 import blake3

from repro_hydra.data.walk import Stored
from repro_hydra.record.data import DatasetKind
from repro_hydra.record.store import write_bytes

_MAGIC = b"repro-hydra data cache 3\n"
_CHECKSUM_BYTES = 32


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One look at one dataset with one set of options."""

    racy_after: int
    """Nanoseconds since the epoch: a row that changed since then may have changed again unseen."""
    fingerprint: bytes | None
    """BLAKE3 of all rows in the order of the walk; None while one of them is racy."""
    digest: bytes
    kind: DatasetKind
    size_bytes: int
    files: int
    exceptions: list[tuple[bytes, str]]
    exceptions_total: int
    stored: msgspec.Raw
    """The rows, still encoded: an unchanged dataset is recognised without decoding 50,000 of them."""

    def rows(self) -> list[Stored]:
        return msgspec.msgpack.decode(self.stored, type=list[Stored])


def default_cache_directory() -> Path:
    """Where the caches of this user's datasets lie."""
    return Path(platformdirs.user_cache_dir("repro-hydra")) / "data"


class StatCache:
    """A folder with one file for each dataset and set of options."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory or default_cache_directory()

    def _path(self, key: bytes) -> Path:
        return self.directory / f"{blake3(key).hexdigest()[:32]}.msgpack"

    def load(self, key: bytes) -> Snapshot | None:
        """The snapshot stored for `key`, or None where there is none that is whole."""
        try:
            data = self._path(key).read_bytes()
        except OSError:
            return None
        start = len(_MAGIC) + _CHECKSUM_BYTES
        body = memoryview(data)[start:]
        # A flipped bit in a stored digest would read as changed data: worth the millisecond.
        if not data.startswith(_MAGIC) or blake3(body).digest() != data[len(_MAGIC) : start]:
            return None
        try:
            stored_key, snapshot = msgspec.msgpack.decode(body, type=tuple[bytes, Snapshot])
        except msgspec.DecodeError:  # another version's layout
            return None
        return snapshot if stored_key == key else None

    def store(self, key: bytes, snapshot: Snapshot) -> None:
        """Keep `snapshot`; where that is not possible (a full disk, no home), the next look reads again."""
        body = msgspec.msgpack.encode((key, snapshot))
        with contextlib.suppress(OSError):
            self.directory.mkdir(parents=True, exist_ok=True)
            write_bytes(self._path(key), _MAGIC + blake3(body).digest() + body)
