"""Folders below the temporary directory, each held by the process that made it.

A process that is killed leaves its folder. So a folder has a file in it that its process keeps locked: whoever makes
the next one of the same kind takes away those whose file nobody holds any more. The lock goes with the process, in any
container that shares the directory, which a process id would not tell.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

_locks: Any = None
with contextlib.suppress(ImportError):  # Windows: there `repro-hydra prune` takes away what is old
    _locks = importlib.import_module("fcntl")

PREFIX = "repro-hydra-"
_HOLDER = ".held"
_NOT_YET = ".held.part"
_GOING = ".going"


class TemporaryFolder:
    """A new folder, which is gone when it is left; as a context manager it gives its path.

    Parameters
    ----------
    kind : str
        What it is for; part of its name. What killed processes left of the same kind is taken away first.

    Attributes
    ----------
    path : Path
        Without symbolic links.

    Raises
    ------
    OSError
        There is no room for it.
    """

    def __init__(self, kind: str) -> None:
        prefix = f"{PREFIX}{kind}-"
        clear_left(Path(tempfile.gettempdir()), prefix)
        self.path = Path(os.path.realpath(tempfile.mkdtemp(prefix=prefix)))
        self._handle = _hold(self.path)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def remove(self) -> None:
        """Take it away, with what is in it."""
        _take_away(self.path)
        self._let_go()

    def keep(self) -> None:
        """Leave it to the user: nobody takes it away any more, but `repro-hydra prune` when it is old."""
        (self.path / _HOLDER).unlink(missing_ok=True)
        self._let_go()

    def _let_go(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _hold(folder: Path) -> int | None:
    """Lock a file in `folder` for as long as this process lives; None where that cannot be."""
    if _locks is None:
        return None
    part = folder / _NOT_YET
    handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        _locks.flock(handle, _locks.LOCK_EX | _locks.LOCK_NB)
        os.write(handle, str(os.getpid()).encode())
        part.rename(folder / _HOLDER)  # whoever sees it by this name finds it locked
    except OSError:  # a file system without locks: nobody could tell whether this process lives
        os.close(handle)
        part.unlink(missing_ok=True)
        return None
    return handle


def is_held(folder: Path) -> bool | None:
    """Whether the process that made `folder` lives; None where the folder does not tell."""
    if _locks is None:
        return None
    try:
        handle = os.open(folder / _HOLDER, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        if os.read(handle, 32) == str(os.getpid()).encode():
            return True  # not asked: over NFS a process may be given a lock that it has
        _locks.flock(handle, _locks.LOCK_EX | _locks.LOCK_NB)
    except OSError as error:
        return True if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    finally:
        os.close(handle)
    return False


def clear_left(place: Path, prefix: str) -> None:
    """Take away this user's folders in `place` that killed processes left."""
    user = os.getuid() if hasattr(os, "getuid") else None
    with contextlib.suppress(OSError):  # a directory that cannot be listed
        for name in os.listdir(place):  # noqa: PTH208 (a busy machine has thousands: names alone)
            if not name.startswith(prefix):
                continue
            folder = place / name
            with contextlib.suppress(OSError):  # another process was faster
                if folder.lstat().st_uid == user and not folder.is_symlink() and is_held(folder) is False:
                    # By another name: what the killed process had started (git) may still write there, by its path.
                    _take_away(folder if name.endswith(_GOING) else folder.rename(f"{folder}{_GOING}"))


def _take_away(folder: Path) -> None:
    """What tells whose it was goes last, so that the next one goes on where this is cut short."""
    with contextlib.suppress(OSError):  # what cannot be taken away is tried again
        for entry in list(os.scandir(folder)):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            elif entry.name != _HOLDER:
                Path(entry.path).unlink(missing_ok=True)
        if os.listdir(folder) in ([], [_HOLDER]):  # noqa: PTH208 (names alone)
            (folder / _HOLDER).unlink(missing_ok=True)
            folder.rmdir()
