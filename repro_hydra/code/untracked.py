"""Which untracked files are code: walked folder by folder, so that the outputs of runs are never walked.

A project whose ``outputs/`` is not ignored may hold a million files there. Git names a folder without a tracked
file as one entry; here such a folder is entered level by level, left at the first sign that it is no code, and
git is asked once a level what it ignores.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

import msgspec

from repro_hydra.code.git import Git, GitError, join

_RUN_MARKS = frozenset({b".repro", b".hydra"})
_MLFLOWS_OWN = frozenset({b"mlruns", b"mlartifacts", b"mlflow.db", b"mlflow.db.new", b"mlflow.db-journal"})
"""Where it writes without a server: in a snapshot, the code of each run would differ from the last one's."""
_NEVER_CODE = _RUN_MARKS | _MLFLOWS_OWN | {b"__pycache__", b".ipynb_checkpoints"}
_ENVIRONMENT_MARKS = frozenset({b"pyvenv.cfg", b"conda-meta"})


class Found(msgspec.Struct):
    """The untracked files, each with its size, by the entry of git's list that they lie below."""

    files: dict[bytes, dict[bytes, int]] = msgspec.field(default_factory=dict)
    not_captured: dict[bytes, str] = msgspec.field(default_factory=dict)


def find_untracked(git: Git, top: bytes, entries: Sequence[bytes], exclude: Sequence[bytes]) -> Found:
    """The untracked files that a snapshot should hold.

    Parameters
    ----------
    top : bytes
        The top of the work tree.
    entries : sequence of bytes
        Untracked paths as `git status` lists them, relative to `top`; folders end in a slash.
    exclude : sequence of bytes
        Folders (relative to `top`, no final slash) that are left out silently: the run's own, the interpreter's.

    Returns
    -------
    Found
        Symbolic links count as files; what is neither file, link nor folder is passed over, as git does.
    """
    found = Found()
    excluded = frozenset(exclude)
    level: list[tuple[bytes, bytes]] = []  # (entry, folder)
    for entry in entries:
        path = entry.rstrip(b"/")
        if path in excluded or path.rpartition(b"/")[2] in _NEVER_CODE:
            continue
        found.files[entry] = {}
        if entry.endswith(b"/"):
            level.append((entry, path))
        else:
            _add_file(found, entry, path, join(top, path))
    while level:
        level = _next_level(git, top, level, excluded, found)
    return found


def _next_level(
    git: Git, top: bytes, level: list[tuple[bytes, bytes]], excluded: frozenset[bytes], found: Found
) -> list[tuple[bytes, bytes]]:
    """The files of these folders go into `found`; the folders below them are returned."""
    files: list[tuple[bytes, bytes]] = []
    folders: list[tuple[bytes, bytes]] = []
    for entry, folder in level:
        try:
            with os.scandir(join(top, folder)) as listing:
                items = sorted(listing, key=lambda item: item.name)
        except OSError as error:
            found.not_captured[folder + b"/"] = f"cannot be listed ({error.strerror})"
            continue
        names = {item.name for item in items}
        if names & _RUN_MARKS or names & _ENVIRONMENT_MARKS:
            continue
        if b".git" in names:
            found.not_captured[folder + b"/"] = (
                "is a git repository of its own, not registered as a submodule"
            )
            continue
        for item in items:
            path = folder + b"/" + item.name
            if item.name in _NEVER_CODE or path in excluded:
                continue
            (folders if item.is_dir(follow_symlinks=False) else files).append((entry, path))
    ignored = _ignored(git, [path for _, path in files] + [path + b"/" for _, path in folders])
    for entry, path in files:
        if path not in ignored:
            _add_file(found, entry, path, join(top, path))
    return [(entry, path) for entry, path in folders if path + b"/" not in ignored]


def _ignored(git: Git, paths: list[bytes]) -> frozenset[bytes]:
    if not paths:
        return frozenset()
    arguments = ("check-ignore", "-z", "--stdin")
    status, output, said = git.ask(*arguments, data=b"".join(path + b"\0" for path in paths))
    if status not in (0, 1):  # 1: none of them is ignored
        raise GitError(arguments, status, said)
    return frozenset(output.split(b"\0"))


def _add_file(found: Found, entry: bytes, path: bytes, absolute: bytes) -> None:
    try:
        state = os.lstat(absolute)
    except OSError:
        return  # gone since it was listed
    if stat.S_ISREG(state.st_mode) or stat.S_ISLNK(state.st_mode):
        found.files[entry][path] = state.st_size
