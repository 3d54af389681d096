"""A small file that one process writes and others read while it changes.

It is written in place, with a digest by which a reader knows a half-written one: that needs no new room on a full
disk, and over NFS whoever opens a file sees what the last one wrote who closed it, while a name that was replaced may
be remembered for up to a minute (nfs(5), "close-to-open", "lookupcache").
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Generic, TypeVar

import blake3
import msgspec

T = TypeVar("T")


class Notice(Generic[T]):
    """What is written at `path`, a value of type `kind`."""

    def __init__(self, path: Path, kind: type[T]) -> None:
        self.path = path
        self._kind = kind

    def write(self, value: T) -> None:
        """Put `value` in the place of what is there.

        Raises
        ------
        OSError
            As the file system says.
        """
        text = msgspec.json.encode(value)
        content = _digest(text) + b" %d\n" % len(text) + text
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        try:
            if os.write(handle, content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        finally:
            os.close(handle)

    def read(self) -> T | None:
        """What is there; None where nothing is, or it is being written: whoever waits for it asks again."""
        try:
            content = self.path.read_bytes()
        except OSError:  # not there yet, or on a mount that is away for the moment
            return None
        first, _, rest = content.partition(b"\n")
        digest, _, length = first.partition(b" ")
        text = rest[: int(length)] if length.isdigit() else b""
        if digest != _digest(text):
            return None
        try:
            return msgspec.json.decode(text, type=self._kind)
        except msgspec.MsgspecError:
            return None  # another version's: to this one it says nothing


def _digest(text: bytes) -> bytes:
    return blake3.blake3(text).hexdigest(length=16).encode()
