"""A file as it was when it was opened, and whether it is that still. Paths are strings: an epoch opens thousands."""

from __future__ import annotations

import os
import stat
from typing import Any, NamedTuple

CLOCK_TICK_NS = 20_000_000
"""A filesystem's times may lag behind the clock by a tick of the kernel's."""


class Stamp(NamedTuple):
    """A file as it was when it was first opened."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int


def stamp_of(status: os.stat_result) -> Stamp:
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)


def absolute(path: Any) -> str:
    name = os.fsdecode(path)
    return name if os.path.isabs(name) else os.path.join(os.getcwd(), name)  # noqa: PTH109, PTH117, PTH118


def regular(name: str) -> os.stat_result | None:
    try:
        status = os.stat(name)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def content_of(stamp: Stamp) -> tuple[int, int, int]:
    """What changes with the content; not the rights, nor the number of names."""
    return stamp.size, stamp.mtime_ns, stamp.inode


def differs(name: str, stamp: Stamp) -> Stamp | None:
    """The file as it is now, where that is another one than `stamp` was made of; None where it is not, or is gone."""
    status = regular(name)
    if status is None or content_of(stamp_of(status)) == content_of(stamp):
        return None
    return stamp_of(status)


def is_pipe(name: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(name).st_mode)  # noqa: PTH116
    except (OSError, ValueError):
        return False
