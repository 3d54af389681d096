"""What lies in a directory, by name and stat: the part of a look at a dataset that can't be saved."""

from __future__ import annotations

import os
import stat

from repro_hydra.data.errors import Problem
from repro_hydra.data.ignore import Ignored

Row = tuple[bytes, int, int, int, int, int]
"""Path relative to the dataset, mode, size, mtime_ns, ctime_ns, inode.

A plain tuple: 50,000 of them are made in each look, and a named one costs three times as much. A directory is
its path and `DIRECTORY` alone, since its own size and times say nothing about what a dataset holds.
The device number is left out: it is another one for the same network mount on each node of a cluster and
often after a reboot, and size, times and inode already tell files apart.
"""

Stored = tuple[bytes, int, int, int, int, int, bytes]
"""A `Row` and the entry's content: a file's digest, a link's target."""

DIRECTORY = stat.S_IFDIR
REGULAR = stat.S_IFREG
FORMAT = 0o170000  # the bits that stat.S_IFMT keeps; its call costs more than the comparison


def row_of(path: bytes, status: os.stat_result) -> Row:
    """The row of what is no directory."""
    return (path, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def walk(root: bytes, ignored: Ignored | None = None) -> tuple[list[Row], list[Problem]]:
    """Everything below `root`, in no particular order; symbolic links are never followed.

    Nothing is opened but directories, so nothing can hang here but the filesystem itself. Bytes throughout:
    names need not be text, and must not depend on the locale.

    Returns
    -------
    rows : list of Row
    problems : list of Problem
        What could not be listed or vanished in between.
    """
    rows: list[Row] = []
    problems: list[Problem] = []
    append = rows.append
    pending = [(root, b"")]
    while pending:
        directory, prefix = pending.pop()
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    name = entry.name
                    path = prefix + name
                    try:
                        if ignored is not None and ignored(path, entry.is_dir(follow_symlinks=False)):
                            continue
                        status = entry.stat(follow_symlinks=False)
                    except OSError as error:
                        problems.append(Problem(path, reason_of(error)))
                        continue
                    mode = status.st_mode
                    if mode & FORMAT == DIRECTORY:
                        append((path, DIRECTORY, 0, 0, 0, 0))
                        pending.append((directory + b"/" + name, path + b"/"))
                    else:
                        # `row_of` written out: a call for each of 50,000 files is a tenth of the walk.
                        append(
                            (
                                path,
                                mode,
                                status.st_size,
                                status.st_mtime_ns,
                                status.st_ctime_ns,
                                status.st_ino,
                            )
                        )
        except OSError as error:
            problems.append(Problem(prefix or b".", reason_of(error)))
    return rows, problems


def reason_of(error: OSError) -> str:
    """Why a file could not be read, in words that need no errno table."""
    if isinstance(error, FileNotFoundError):
        return "it vanished while the dataset was read"
    if isinstance(error, PermissionError):
        return "it may not be read (permission denied)"
    return f"it cannot be read ({error.strerror or type(error).__name__})"
