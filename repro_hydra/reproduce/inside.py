"""Files below a folder, and never one outside of it: names in a record may come from a stranger."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath

MAX_RECORD_BYTES = 512 << 20


class LeadsOut(ValueError):
    """A name that leaves its folder, by ``..``, as an absolute path or through a link."""


def path_inside(folder: Path, name: str) -> Path:
    """The path of `name` below `folder`; nothing need be there.

    Raises
    ------
    LeadsOut
        For a name that is no plain relative path, and where a part of it is a symbolic link.
    """
    parts = PurePosixPath(name).parts
    plain = name and not name.startswith(("/", "\\")) and "\0" not in name and ".." not in parts
    if not plain or (os.name == "nt" and (":" in name or "\\" in name)):
        raise LeadsOut(f"{name!r} leads out of {folder}; it was not opened")
    path = folder
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise LeadsOut(f"{name!r}: {path} is a link; it was not followed")
    return path


def read_inside(folder: Path, name: str, limit: int = MAX_RECORD_BYTES) -> bytes | None:
    """The content of a regular file below `folder`; None where there is none.

    Raises
    ------
    LeadsOut
        See `path_inside`; also for what is no regular file, or larger than `limit`.
    OSError
        It cannot be read.
    """
    path = path_inside(folder, name)
    try:
        # O_NONBLOCK: a FIFO would wait for a writer for ever.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except (FileNotFoundError, NotADirectoryError):
        return None
    with os.fdopen(handle, "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise LeadsOut(f"{name!r} is no regular file; it was not read")
        if status.st_size > limit:
            raise LeadsOut(f"{name!r} has {status.st_size:,} bytes, more than a record may; it was not read")
        return stream.read()
