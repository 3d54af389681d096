"""Reading a dataset's files: all of them in one pass, or those that no earlier look knows."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Sequence

from blake3 import blake3

from repro_hydra.data.digest import OPEN_FLAGS, FileProblem, digest_file, what_changed
from repro_hydra.data.errors import Problem
from repro_hydra.data.ignore import Ignored
from repro_hydra.data.walk import DIRECTORY, Row, Stored, reason_of, row_of

Progress = Callable[[int, "int | None"], None]
"""Told how many bytes have been read, and of how many (None while that is not known yet)."""

_ONE_READ_BYTES = 1 << 16
_REPORT_EVERY_BYTES = 16 << 20


class Counter:
    """Reports progress now and then: a call for each small file would cost more than reading it."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._done = 0
        self._reported = 0
        self.total: int | None = None

    def add(self, count: int) -> None:
        self._done += count
        if self._progress is not None and self._done - self._reported >= _REPORT_EVERY_BYTES:
            self._reported = self._done
            self._progress(self._done, self.total)

    def expect(self, more: int) -> None:
        """`more` bytes are still to come, and nothing after them."""
        self.total = self._done + more

    def finish(self) -> None:
        if self._progress is not None and self._done:
            self._progress(self._done, self._done)


def read_all(
    root: bytes, ignored: Ignored | None, recent_ns: int, counter: Counter
) -> tuple[list[Stored], list[Problem]]:
    """Walk and read in one pass, for a first look: what is opened anyway needs no stat by name.

    That saves a fifth of the time on small files, which is what it takes to be as fast as ``b3sum``. The order
    of what is returned is the order of `walk`.

    Parameters
    ----------
    recent_ns : int
        A small file that changed after this time is looked at once more after it was read. An older one that
        is written in the fraction of a millisecond between is caught by the next look, since what is kept is
        its stat from before it was read.
    """
    stored: list[Stored] = []
    problems: list[Problem] = []
    later: list[int] = []
    pending = [(root, b"")]
    add_bytes = counter.add
    while pending:
        directory, prefix = pending.pop()
        below = directory + b"/"
        done = 0
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    name = entry.name
                    path = prefix + name
                    try:
                        if ignored is not None and ignored(path, entry.is_dir(follow_symlinks=False)):
                            continue
                        if entry.is_file(follow_symlinks=False):
                            one = _read_small(below + name, path, recent_ns)
                            if one[2] > _ONE_READ_BYTES:
                                later.append(len(stored))
                            else:
                                done += one[2]
                            stored.append(one)
                        elif entry.is_dir(follow_symlinks=False):
                            stored.append((path, DIRECTORY, 0, 0, 0, 0, b""))
                            pending.append((below + name, path + b"/"))
                        else:
                            row = row_of(path, entry.stat(follow_symlinks=False))
                            stored.append((*row, unread_content(below + name, row)))
                    except OSError as error:
                        problems.append(Problem(path, reason_of(error)))
                    except FileProblem as problem:
                        problems.append(Problem(path, str(problem)))
        except OSError as error:
            problems.append(Problem(prefix or b".", reason_of(error)))
        add_bytes(done)
    _read_later(root, stored, later, problems, counter)
    return stored, problems


def _read_small(file: bytes, path: bytes, recent_ns: int) -> Stored:
    """A file with its digest, or with nothing in the digest's place if it is too large for one read."""
    handle = os.open(file, OPEN_FLAGS)
    try:
        status = os.fstat(handle)
        size = status.st_size
        mode = status.st_mode
        row = (path, mode, size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        if not stat.S_ISREG(mode):
            raise FileProblem(what_changed(row, status))
        if size > _ONE_READ_BYTES:
            return (*row, b"")
        data = os.read(handle, _ONE_READ_BYTES + 1)
        if len(data) != size or status.st_ctime_ns >= recent_ns:
            return (*row, digest_file(file, row))
    finally:
        os.close(handle)
    return (*row, blake3(data).digest())


def _read_later(
    root: bytes, stored: list[Stored], later: Sequence[int], problems: list[Problem], counter: Counter
) -> None:
    counter.expect(sum(stored[index][2] for index in later))
    for index in later:
        row = stored[index][:6]
        try:
            digest = digest_file(root + b"/" + row[0] if row[0] else root, row, counter.add)
            stored[index] = (*row, digest)
        except FileProblem as problem:
            problems.append(Problem(row[0] or b".", str(problem)))


def read_unknown(
    root: bytes, rows: Iterable[Row], known: dict[bytes, Stored], counter: Counter
) -> tuple[list[Stored], list[Problem], int]:
    """The rows with their content, read only where `known` has no row of equal stat.

    Returns
    -------
    stored : list of Stored
        In the order of `rows`.
    problems : list of Problem
    files_read : int
    """
    stored: list[Stored] = []
    problems: list[Problem] = []
    later: list[int] = []
    for row in rows:
        before = known.get(row[0])
        if before is not None and before[:6] == row:
            stored.append(before)
            continue
        content = b""
        if stat.S_ISREG(row[1]):
            later.append(len(stored))
        else:
            try:
                content = unread_content(root + b"/" + row[0], row)
            except OSError as error:
                problems.append(Problem(row[0], reason_of(error)))
        stored.append((*row, content))
    _read_later(root, stored, later, problems, counter)
    return stored, problems, len(later)


def unread_content(file: bytes, row: Row) -> bytes:
    """The content of what is no regular file: a link's target, nothing for everything else."""
    return os.readlink(file) if stat.S_ISLNK(row[1]) else b""  # noqa: PTH115 (bytes)
