"""How a child of a job tells its parent what it opened: a file of lines, each written at once.

A worker may be killed at any moment, or leave by ``os._exit``: nothing waits for its end.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Callable
from typing import Any, NamedTuple

RUN_VARIABLE = "REPRO_HYDRA_RUN_DIR"
FOLDER = os.path.join(".repro", "reads")  # noqa: PTH118
"""Below a run's directory; it is there only while the run is watched."""
_SUFFIX = ".lines"

Word = str | int | bool


class Child(NamedTuple):
    """A process that told what it opened."""

    pid: int
    role: str
    host: str
    started_at_s: float


class Sink:
    """The child's end."""

    def __init__(self, folder: str, role: str) -> None:
        name = f"{platform.node()}-{os.getpid()}-{time.time_ns()}{_SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
        self._handle = os.open(os.path.join(folder, name), flags, 0o600)  # noqa: PTH118
        self.send("child", os.getpid(), role, platform.node(), int(time.time()))

    def send(self, *words: Word) -> None:
        with contextlib.suppress(OSError):  # the run has ended, or its disk is full: the child's work goes on
            os.write(self._handle, json.dumps(words).encode() + b"\n")


class Source:
    """The parent's end: the files of all its children, each read on from where it was left."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._done: dict[str, int] = {}
        self.children: list[Child] = []

    def read_on(self, take: Callable[[str, list[Any]], None]) -> None:
        """Hand each new line to `take`; the file of a child that has ended is then removed."""
        try:
            names = sorted(os.listdir(self._folder))  # noqa: PTH208 (before each fork)
        except FileNotFoundError:
            return
        for name in names:
            if name.endswith(_SUFFIX):
                self._read_file(name, take)

    def _read_file(self, name: str, take: Callable[[str, list[Any]], None]) -> None:
        path = os.path.join(self._folder, name)  # noqa: PTH118
        ended = _has_ended(name)  # asked before the last reading
        with open(path, "rb") as stream:  # noqa: PTH123
            stream.seek(self._done.get(name, 0))
            for line in stream:
                if not line.endswith(b"\n"):
                    break  # it is being written
                self._done[name] = self._done.get(name, 0) + len(line)
                word, *rest = json.loads(line)
                if word == "child":
                    self.children.append(Child(*rest))
                else:
                    take(word, rest)
        if ended:
            os.unlink(path)  # noqa: PTH108


def _has_ended(name: str) -> bool:
    host, pid, _ = name.rsplit("-", 2)
    if host != platform.node() or os.name == "nt":  # where signal 0 is Ctrl-C
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
