"""Whether files are still as they were, by what the file system says of them: no content is read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from repro_hydra.code.git import join
from repro_hydra.record.store import write_bytes

Stat = tuple[int, int, int, int, int]
"""Mode, size, time of modification, time of change (both in ns), inode."""


def stat_of(path: bytes) -> Stat | None:
    """None where nothing is there."""
    try:
        state = os.lstat(path)
    except OSError:
        return None
    return (state.st_mode, state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)


class FileStats(msgspec.Struct, frozen=True, array_like=True):
    """Files below one folder, each with its state at one moment."""

    files: list[tuple[bytes, Stat | None]]
    """Relative paths. None: what the file system said could not be trusted, so its content has to be looked at."""

    def changed(self, top: bytes) -> list[bytes]:
        """The paths that are not as they were: touched, written, replaced or gone."""
        return [path for path, state in self.files if state is None or stat_of(join(top, path)) != state]

    def save(self, file: Path) -> None:
        write_bytes(file, msgspec.msgpack.encode(self))

    @classmethod
    def load(cls, file: Path) -> FileStats:
        """Raises OSError or `msgspec.MsgspecError` where it is not there, or not whole."""
        return msgspec.msgpack.decode(file.read_bytes(), type=cls)


def look_at(top: bytes, paths: Iterable[bytes]) -> FileStats:
    """The files as they are now; those that are not there are left out."""
    found = ((path, stat_of(join(top, path))) for path in paths)
    return FileStats([(path, state) for path, state in found if state is not None])
