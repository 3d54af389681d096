"""Datasets that another system versions already: its version is taken over, and checked by its own means.

Hashing such data again would cost minutes, and say nothing that the other system's version does not.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
from blake3 import blake3

from repro_hydra.data.cache import StatCache
from repro_hydra.data.errors import DataError
from repro_hydra.data.walk import Row, row_of, walk
from repro_hydra.record.store import write_bytes

_RACY_WINDOW_NS = 2_000_000_000


class Foreign(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset as another system calls it."""

    system: str
    """``dvc``, ``git-annex``, ``huggingface-hub``, ``huggingface-datasets``."""
    version: str
    file: str | None
    """Where that version stands."""
    size_bytes: int
    files: int
    content: str | None = None
    """Our digest of it, where the version says nothing of what lies there now."""
    ignore: tuple[str, ...] = ()
    """What lies there and is no part of it."""

    @property
    def digest(self) -> str:
        """What is compared: never equal to a digest of ours, which is hexadecimal alone."""
        return ":".join([self.system, self.version, *([self.content] if self.content else [])])


def rows_of(path: Path) -> list[Row]:
    """The rows of a folder, sorted, or the one of a file; links to files are followed, as those systems make them.

    Raises
    ------
    DataError
        Something can't be looked at.
    """
    root = os.path.realpath(path)
    if not os.path.isdir(root):  # noqa: PTH112
        return [_followed(os.fsencode(root), b"")]
    rows, problems = walk(os.fsencode(root))
    if problems:
        raise DataError(f"{path}: could not be looked through", problems)
    return sorted(
        _followed(os.fsencode(root) + b"/" + row[0], row[0]) if row[2] or row[3] else row for row in rows
    )


def _followed(place: bytes, name: bytes) -> Row:
    try:
        return row_of(name, os.stat(place))  # noqa: PTH116 (bytes: a name need not be text)
    except OSError as error:
        shown = place.decode("utf-8", "backslashreplace")
        raise DataError(f"{shown}: cannot be looked at ({error.strerror})") from None


class CheckedOnce:
    """Remembers that content was checked, for as long as nobody writes to it.

    Parameters
    ----------
    cache : StatCache or None
        Whose folder it lies in; None remembers nothing.
    clock : callable
        Nanoseconds since the epoch.
    """

    def __init__(self, cache: StatCache | None, clock: Callable[[], int]) -> None:
        self._folder = None if cache is None else cache.directory / "checked"
        self._clock = clock

    def is_known(self, foreign: Foreign, rows: list[Row]) -> bool:
        if self._folder is None:
            return False
        try:
            return self._file(foreign, rows).read_bytes() == foreign.digest.encode()
        except OSError:
            return False

    def remember(self, foreign: Foreign, rows: list[Row]) -> None:
        """Unless something was written so lately that a further write might not show."""
        newest = max((max(row[3], row[4]) for row in rows), default=0)
        if self._folder is None or newest >= self._clock() - _RACY_WINDOW_NS:
            return
        with contextlib.suppress(OSError):  # a full disk, no home: it is checked again
            self._folder.mkdir(parents=True, exist_ok=True)
            write_bytes(self._file(foreign, rows), foreign.digest.encode())

    def _file(self, foreign: Foreign, rows: list[Row]) -> Path:
        assert self._folder is not None
        return (
            self._folder
            / blake3(msgspec.msgpack.encode((foreign.digest, foreign.file, rows))).hexdigest()[:32]
        )
