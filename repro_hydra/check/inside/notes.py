"""What the processes of a checked command tell about themselves: a line of JSON each time something is seen first."""

from __future__ import annotations

import json
import os
import sys
from types import FrameType

from repro_hydra.sites import OURS, callers, is_users, shorten

_TRANSPARENT = tuple(OURS + room + os.sep for room in ("check", "audit", "determinism", "data"))
"""Hooks of ours that stand between the user's call and the original."""
_DEEPEST = 60


class Notes:
    """Lines in a file that several processes append to, each in one write.

    Parameters
    ----------
    path : str
        The file.
    start : str
        The directory that the user's files are named relative to.
    """

    def __init__(self, path: str, start: str) -> None:
        self._path = path
        self.start = start
        self._seen: set[tuple[str, str, int]] = set()

    def write(self, kind: str, file: str = "", line: int = 0) -> None:
        """Note something, once."""
        if (kind, file, line) in self._seen:
            return
        self._seen.add((kind, file, line))
        text = json.dumps({"kind": kind, "file": file, "line": line}) + "\n"
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, text.encode())
        finally:
            os.close(handle)

    def at(self, kind: str, frame: FrameType | None) -> None:
        """Note something with the user's line that `frame` is at."""
        if frame is not None:
            self.write(kind, shorten(frame.f_code.co_filename, self.start), frame.f_lineno)


def users_frame(frame: FrameType | None, *, direct: bool = False) -> FrameType | None:
    """The nearest frame of the user's code; with `direct` only if nothing but the standard library lies between.

    None where this package itself is nearer: what a session does for itself is not the user's doing.
    """
    for caller, _ in zip(callers(frame), range(_DEEPEST), strict=False):
        filename = caller.f_code.co_filename
        if filename.startswith(OURS):
            if filename.startswith(_TRANSPARENT):
                continue
            return None
        if is_users(filename):
            return caller
        if direct and f"{os.sep}site-packages{os.sep}" in filename:
            return None
    return None


def caller() -> FrameType:
    """Whoever called the function that calls this."""
    return sys._getframe(2)
