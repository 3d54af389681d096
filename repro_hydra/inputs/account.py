"""What is known of the files that the processes of one job opened, and how they tell it to each other."""

from __future__ import annotations

import os
from typing import Any

from repro_hydra.inputs import wire
from repro_hydra.inputs.stamps import Stamp, content_of


class Account:
    """What one process, and those that it started, opened.

    Parameters
    ----------
    folder : str, optional
        Where a child leaves what it sees, line by line: it may be killed at any moment.
    """

    def __init__(self, folder: str | None) -> None:
        self.pid = os.getpid()
        self.folder = folder
        self.reads: dict[str, Stamp | None] = {}
        """By absolute path, as it was opened; None: not looked at (installed, written by the run itself)."""
        self.databases: dict[str, Stamp] = {}
        self.written: set[str] = set()
        self.read_again: dict[str, Stamp] = {}
        """What had changed, by another hand, when it was opened another time."""
        self.changed_before: set[str] = set()
        """What had changed when the code was captured, and was opened before: `settle_start`."""
        self.appended: set[str] = set()
        """Opened to append and to read, with something in them; whether that was read can't be told."""
        self.found_as: dict[str, int] = {}
        """When a file was last changed (``st_ctime_ns``) before the job itself touched or moved it, by its name now."""
        self.entropy: set[str] = set()
        """The system's sources of random numbers."""
        self.pipes: set[str] = set()
        self.folders: dict[str, int] = {}
        """Files opened beyond `MOST_PATHS`, by their folder."""
        self.programs: dict[str, bool] = {}
        """Programs that were started, and whether all of a name, if they are Pythons, were told to take part."""
        self.libraries: set[str] = set()
        self.peers: set[str] = set()
        self._sink: wire.Sink | None = None
        self._source: wire.Source | None = None

    def sign_in(self, role: str) -> None:
        """In a child: open the file that its parent will read."""
        assert self.folder is not None
        self._sink = wire.Sink(self.folder, role)

    def tell(self, *words: wire.Word) -> None:
        """In a child: one line for the parent."""
        if self._sink is not None:
            self._sink.send(*words)

    def join(self, folder: str, role: str) -> None:
        """Take part in a run that this process was not started by (a rank of torchrun): tell what was seen so far."""
        if self._sink is None and os.path.isdir(folder):  # noqa: PTH112
            self.folder = folder
            self.sign_in(role)
            for name, stamp in list(self.reads.items()):
                if stamp is not None:
                    self.tell("read", name, *stamp)

    def goes_on_in_fork(self) -> bool:
        """In a forked child: what the parent knows need not be told to it again.

        Returns
        -------
        bool
            Whether there is anybody to tell.
        """
        self.pid = os.getpid()
        self.programs, self.peers, self.databases, self._source = {}, set(), {}, None
        if self.folder is None:
            return False
        self.sign_in("forked")
        return True

    def listen(self, folder: str) -> None:
        """In a job's own process: its children leave what they see in `folder`."""
        self.folder = folder
        self._source = wire.Source(folder)

    @property
    def children(self) -> list[wire.Child]:
        """Those that have signed in."""
        return [] if self._source is None else self._source.children

    def absorb(self) -> None:
        """Take over what the children have written since the last time."""
        if self._source is not None:
            self._source.read_on(self._take)

    def _take(self, word: str, rest: list[Any]) -> None:
        if word == "read":
            name, stamp = rest[0], Stamp(*rest[1:])
            known = self.reads.setdefault(name, stamp)
            if known is not None and name not in self.written and content_of(known) != content_of(stamp):
                self.read_again.setdefault(name, stamp)
        elif word == "database":
            self.databases.setdefault(rest[0], Stamp(*rest[1:]))
        elif word == "program":
            self.programs[rest[0]] = self.programs.get(rest[0], True) and rest[1]
        elif word == "peer":
            self.peers.add(rest[0])
        elif word in ("entropy", "pipe", "appended"):
            kept: set[str] = {"entropy": self.entropy, "pipe": self.pipes, "appended": self.appended}[word]
            kept.add(rest[0])
