"""Reading what lies in a record, which may be a stranger's: regular files only, and none without end.

A FIFO in the place of ``run.json`` would keep `list` waiting for a writer for ever, and a link to ``/dev/zero`` would
fill the memory.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

MOST_BYTES = 1 << 30
"""Of a file that is read as a whole."""
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def open_descriptor(path: str | Path) -> tuple[int, int]:
    """A descriptor of the regular file at `path`, and its size.

    Raises
    ------
    OSError
        Also for whatever is no regular file.
    """
    handle = os.open(path, _FLAGS)  # O_NONBLOCK: of a FIFO this returns at once; of a file it changes nothing
    status = os.fstat(handle)
    if stat.S_ISREG(status.st_mode):
        return handle, status.st_size
    os.close(handle)
    kind = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
    reason = os.strerror(kind) if kind == errno.EISDIR else "it is no regular file"
    raise OSError(kind, reason, str(path))


def open_plain(path: Path) -> BinaryIO:
    """The regular file at `path`, open for reading; raises as `open_descriptor`."""
    return os.fdopen(open_descriptor(path)[0], "rb")


def read_plain(path: str | Path) -> bytes:
    """The content of the regular file at `path`.

    Raises
    ------
    OSError
        Also for whatever is no regular file, or larger than `MOST_BYTES`.
    """
    handle, size_bytes = open_descriptor(path)
    try:
        if size_bytes > MOST_BYTES:
            raise OSError(errno.EFBIG, f"it has {size_bytes:,} bytes, more than a record may", str(path))
        data = os.read(handle, 1 << 16)
        if len(data) < 1 << 16:
            return data
        parts = [data]  # `Path.read_bytes` costs three times as much, which over 20,000 files is 0.2 s
        while part := os.read(handle, 1 << 20):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(handle)
