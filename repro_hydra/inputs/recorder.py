"""What each of Python's audit events says of the files that this process opens: `hook` calls, `account` keeps."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import Any

from repro_hydra.inputs import wire
from repro_hydra.inputs.account import Account
from repro_hydra.inputs.mapped import open_for_reading
from repro_hydra.inputs.stamps import (
    CLOCK_TICK_NS,
    absolute,
    differs,
    is_pipe,
    regular,
    stamp_of,
)
from repro_hydra.inputs.whose import is_bookkeeping

MOST_PATHS = 200_000
"""Of more files only the folders are remembered."""
_WRITING = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_NEVER_INSIDE = tuple(f"{os.sep}{name}{os.sep}" for name in ("site-packages", "dist-packages", ".git"))
_KERNELS = ("/proc/", "/sys/", "/dev/")
_IN_MEMORY = "/dev/shm/"  # noqa: S108 (compared only)
"""Where data sets are staged; what threads and processes talk by lies there too, and has no content."""
_ENTROPY = frozenset({"/dev/urandom", "/dev/random", "/dev/hwrng", "/proc/sys/kernel/random/uuid"})


class Recorder(Account):
    """What one process, and those forked from it, opened.

    Parameters
    ----------
    from_start : bool
        The interpreter began with it, so that nothing was opened before.
    folder : str, optional
        Where a child leaves what it sees, line by line: it may be killed at any moment.
    """

    def __init__(self, *, from_start: bool, folder: str | None = None) -> None:
        super().__init__(folder)
        self.from_start = from_start
        self.started_ns = time.time_ns()
        self.inherited = frozenset(open_for_reading())
        """What whoever started this process had left open for it."""
        self.failure: str | None = None
        self.handlers: dict[str, Callable[..., None]] = {
            "open": self.opened,
            "os.rename": self.moved,
            "os.link": self.moved,
            "os.chmod": self.touched,
            "os.chown": self.touched,
            "os.utime": self.touched,
            "os.truncate": self.touched,
            "import": self.imported,
            "sqlite3.connect": self.database,
            "subprocess.Popen": self.program,
            "os.posix_spawn": self.program,
            "os.exec": self.program,
            "os.spawn": lambda _, *rest: self.program(*rest),
            "os.system": lambda command: self.program("sh", [command]),
            "ctypes.dlopen": self.library,
            "socket.connect": self.peer,
        }

    # ------------------------------------------------------------------ what the hook calls

    def opened(self, path: Any, _mode: Any, flags: int) -> None:
        """A file is about to be opened, by ``open``, ``os.open`` or the import system."""
        if isinstance(path, int):
            return
        if flags & _WRITING:
            if flags & os.O_RDWR and not flags & os.O_TRUNC:
                self._maybe_read(absolute(path), appends=bool(flags & os.O_APPEND))
            self.wrote(path)
            return
        name = os.fsdecode(path)
        if not os.path.isabs(name):  # noqa: PTH117 (on the path of each open)
            name = os.path.join(os.getcwd(), name)  # noqa: PTH109, PTH118
        if name in self.reads:
            self._another_read(name)
        else:
            self._first_read(name)
        if flags & os.O_RDWR:
            self.written.add(name)

    def wrote(self, path: Any) -> None:
        if not isinstance(path, int):
            self.written.add(absolute(path))

    def moved(self, source: Any, target: Any, *_: Any) -> None:
        """A file gets another name: its content stays what it was, whoever wrote it."""
        name, changed_ns = os.path.normpath(absolute(target)), self._changed_before_us(source)
        self.found_as.pop(name, None)
        if changed_ns is None:
            self.wrote(target)
        else:
            self.written.discard(absolute(target))
            if absolute(target) in self.reads and self.reads[absolute(target)] is None:
                del self.reads[absolute(target)]
            self.found_as[name] = changed_ns

    def touched(self, path: Any, *_: Any) -> None:
        """Its times or its rights are set: that makes nothing of it the job's own."""
        if not isinstance(path, int):
            changed_ns = self._changed_before_us(path)
            if changed_ns is not None:
                self.found_as[os.path.normpath(absolute(path))] = changed_ns

    def imported(self, _module: Any, filename: Any, *_: Any) -> None:
        """A module of compiled code is loaded: of all others `open` tells."""
        if filename is not None:
            self._compiled(os.fsdecode(filename))

    def database(self, path: Any) -> None:
        """SQLite opens its file itself, for reading and writing alike."""
        name = os.fsdecode(path)
        if name.startswith("file:"):
            name = name[5:].partition("?")[0]
        if not name or name.startswith(":"):
            return
        status = regular(absolute(name))
        if status is not None and not is_bookkeeping():
            self.databases.setdefault(absolute(name), stamp_of(status))
            self.tell("database", absolute(name), *stamp_of(status))

    def program(self, executable: Any, arguments: Any, *rest: Any) -> None:
        """Another program is started; the last of `rest` is its environment, None for ours."""
        environ = rest[-1] if rest else None
        inherits = environ is None or wire.RUN_VARIABLE in environ or wire.RUN_VARIABLE.encode() in environ
        words = [arguments] if isinstance(arguments, (str, bytes)) else list(arguments)
        name = os.fsdecode(executable if executable is not None else words[0])
        tells = inherits and not any(word in ("-I", "-S") for word in words)
        if self.programs.get(name) in (False, tells) or is_bookkeeping():
            return
        self.programs[name] = tells
        self.tell("program", name, tells)

    def library(self, name: Any) -> None:
        if name is not None and not is_bookkeeping():
            self.libraries.add(os.fsdecode(name))
            if os.sep in os.fsdecode(name):
                self._compiled(os.fsdecode(name))

    def peer(self, _socket: Any, address: Any) -> None:
        """A connection to another machine; its host as it was asked for, and the port."""
        if isinstance(address, tuple) and len(address) >= 2 and not _is_loopback(str(address[0])):
            name = f"{address[0]}:{address[1]}"
            if name not in self.peers:
                self.peers.add(name)
                self.tell("peer", name)

    def opened_natively(self, path: str, mode: str = "r") -> None:
        """A library is given this path and opens it without Python; a folder stands for the files in it."""
        name = absolute(path)
        if mode.startswith(("w", "x")):
            self.written.add(name)
        else:
            self.looked_at([file.path for file in os.scandir(name)] if os.path.isdir(name) else [name])  # noqa: PTH112

    def looked_at(self, paths: Iterable[str]) -> None:
        """These were found open or mapped while the job ran, or given to a library that opens them."""
        for name in paths:
            if name not in self.inherited and name not in self.reads:
                self._first_read(name, asked_by_us=True)

    def settle_start(self) -> None:
        """The code was captured: what was edited since it was opened may be there as either."""
        for name, stamp in list(self.reads.items()):  # other threads may open files meanwhile
            if stamp is not None and name not in self.written and differs(name, stamp):
                self.changed_before.add(name)

    # ------------------------------------------------------------------ within

    def _compiled(self, name: str) -> None:
        name = absolute(name)
        if name not in self.reads:
            self._first_read(name)

    def _maybe_read(self, name: str, *, appends: bool) -> None:
        """It is opened for both: what is in it may be read. An empty one (a lock) has nothing to tell."""
        status = None if name in self.written or name in self.reads else regular(name)
        if status is None or status.st_size == 0:
            return
        if not appends:
            self._first_read(name)
        elif not is_bookkeeping():
            self.appended.add(name)
            self.tell("appended", name)

    def _changed_before_us(self, path: Any) -> int | None:
        """When the file was last changed, if that was before the job began and by nobody of it; else None."""
        name = absolute(path)
        if name in self.written:
            return None
        known = self.found_as.get(os.path.normpath(name))
        status = regular(name)
        if known is not None or status is None:
            return known
        return status.st_ctime_ns if status.st_ctime_ns < self.started_ns - CLOCK_TICK_NS else None

    def _another_read(self, name: str) -> None:
        stamp = self.reads[name]
        if stamp is not None and name not in self.written and name not in self.read_again:
            now = differs(name, stamp)
            if now is not None:
                self.read_again[name] = now

    def _first_read(self, name: str, *, asked_by_us: bool = False) -> None:
        if name.startswith(_KERNELS) and not name.startswith(_IN_MEMORY):
            if name in _ENTROPY:
                self.entropy.add(name)
                self.tell("entropy", name)
                return
            given, name = name, os.path.realpath(name)
            if name.startswith(_KERNELS) and not name.startswith(_IN_MEMORY):
                if "/pipe:[" in name:
                    self._note_pipe(given)
                return
            if name in self.reads:
                return
        if any(part in name for part in _NEVER_INSIDE):
            return
        if name.endswith(".pyc"):
            name = _source_of(name)
            if name in self.reads:
                return
        status = regular(name)
        if status is None:
            if is_pipe(name):
                self._note_pipe(name)
            return  # nothing is there (yet), or nothing that has a content
        if len(self.reads) >= MOST_PATHS:
            folder = os.path.dirname(name)  # noqa: PTH120
            self.folders[folder] = self.folders.get(folder, 0) + 1
            return
        if name in self.written or (not asked_by_us and is_bookkeeping()):
            self.reads[name] = None
            return
        stamp = stamp_of(status)
        if self.found_as:
            changed_ns = self.found_as.get(os.path.normpath(name), stamp.ctime_ns)
            stamp = stamp._replace(ctime_ns=changed_ns)
        self.reads[name] = stamp
        self.tell("read", name, *stamp)

    def _note_pipe(self, name: str) -> None:
        self.pipes.add(name)
        self.tell("pipe", name)


def _is_loopback(host: str) -> bool:
    return host.startswith("127.") or host in ("localhost", "::1", "0.0.0.0", "::", "")  # noqa: S104 (compared only)


def _source_of(name: str) -> str:
    """The source whose cached code this is, where it is there."""
    folder, file = os.path.split(name)
    above, last = os.path.split(folder)
    source = os.path.join(above, file.split(".")[0] + ".py")  # noqa: PTH118
    return source if last == "__pycache__" and os.path.exists(source) else name  # noqa: PTH110
