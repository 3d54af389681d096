"""Files that stand in for a content which is not here: pointers of Git LFS, and of git-annex's unlocked files.

A job that reads one reads two lines of text in place of its data. Formats:
https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md and https://git-annex.branchable.com/internals/pointer_file/.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from repro_hydra.data.errors import DataChanged, DataError, Problem, shown
from repro_hydra.data.ignore import compile_ignore
from repro_hydra.data.walk import FORMAT, REGULAR, reason_of, row_of, walk

GIT = ".git"
"""As a pattern: a work tree's own, a folder or (in a submodule, a further work tree) a file or a link."""
ATTRIBUTES = ".gitattributes"
_MOST_BYTES = 1024
"""Git LFS calls nothing larger a pointer; git-annex's are a key long."""
_LEAST_BYTES = 24
_LFS = re.compile(rb"version https://(?:git-lfs|hawser)\.github\.com/spec/v[0-9]\n(?:.*\n)*?oid [a-z0-9]+:")
_ANNEX = re.compile(rb"/annex/objects/[A-Z0-9_]+-[^\n/]*--[^\n/]+(?:\n|\Z)")


def check_contents(path: Path) -> None:
    """That the files at `path` are the data itself, where it lies in a repository of Git LFS or git-annex.

    Raises
    ------
    DataChanged
        Some only stand in for it: all of them, in `problems`.
    DataError
        One cannot be read.
    """
    if not os.path.exists(path):  # noqa: PTH110 (False, too, where a folder above may not be entered)
        return  # the digest tells it
    lfs, annex = _systems(path)
    if not (lfs or annex):
        return
    problems = []
    root = os.fsencode(os.path.realpath(path))
    for name in _small_files(root):
        beginning = _beginning(root, name)
        called = name or os.path.basename(root)  # noqa: PTH119 (bytes: a name need not be text)
        if lfs and _LFS.match(beginning):
            problems.append(
                Problem(called, "a pointer of Git LFS, its content is not here. Run: git lfs pull")
            )
        elif annex and _ANNEX.match(beginning):
            problems.append(
                Problem(called, "a pointer of git-annex, its content is not here. Run: git annex get")
            )
    if problems:
        count = len(problems)
        raise DataChanged(f"{path}: {count} of its files only stand in for their content", sorted(problems))


def _systems(path: Path) -> tuple[bool, bool]:
    """Whether Git LFS, and whether git-annex, keeps files of a repository that `path` lies in, or that lies in it.

    A link may lie in one repository and lead into another: each of the two is asked.
    """
    itself, real = Path(os.path.realpath(path.parent), path.name), Path(os.path.realpath(path))
    found = [_systems_around(place) for place in dict.fromkeys((itself, real))]
    lfs, annex = any(lfs for lfs, _ in found), any(annex for _, annex in found)
    if lfs and annex:
        return lfs, annex
    lfs_below, annex_below = _systems_below(real)
    return lfs or lfs_below, annex or annex_below


def _systems_around(path: Path) -> tuple[bool, bool]:
    """As `_systems`, of the repository around `path`, above which are no links."""
    lfs = False
    for folder in (path, *path.parents):
        lfs = lfs or _filters_by_lfs(folder / ATTRIBUTES)
        repository = _repository(folder / GIT)
        if repository is not None:
            lfs_here, annex = _systems_of(repository)
            return lfs or lfs_here, annex
    return False, False


def _systems_below(path: Path) -> tuple[bool, bool]:
    """As `_systems`, of what says so in folders below `path`, where a repository keeps rules for them, or is one.

    Names alone, without a stat of each: 50,000 files cost some hundredths of a second.
    """
    lfs = annex = False
    pending = [os.fspath(path)] if path.is_dir() else []
    while pending and not (lfs and annex):
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.name == ATTRIBUTES:
                        lfs = lfs or _filters_by_lfs(Path(entry.path))
                    elif entry.name == GIT:
                        repository = _repository(Path(entry.path))
                        lfs_here, annex_here = (
                            (False, False) if repository is None else _systems_of(repository)
                        )
                        lfs, annex = lfs or lfs_here, annex or annex_here
                    elif entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
        except OSError:
            continue  # what cannot be listed, the digest cannot list either, and tells
    return lfs, annex


def _systems_of(repository: Path) -> tuple[bool, bool]:
    """What a repository says for itself, beside its files."""
    return _filters_by_lfs(repository / "info/attributes"), (repository / "annex").is_dir()


def _repository(entry: Path) -> Path | None:
    """Where a work tree's ``.git`` leads to; of a further work tree, what it shares with the first.

    Such a ``.git``, and a submodule's, is a file that says where (gitrepository-layout(5)). One that cannot be read
    stays what it is: a place where nothing is found.
    """
    if not os.path.lexists(entry):
        return None
    own = _said_by(entry, "gitdir: ") or entry
    return _said_by(own / "commondir", "") or own


def _said_by(file: Path, prefix: str) -> Path | None:
    """The place that a file of git's names, relative to where the file lies; None where it names none."""
    try:
        said = file.read_text("utf-8", "surrogateescape")
    except OSError:
        return None  # no file: a folder, or nothing
    if not said.startswith(prefix) or "\0" in said:
        return None
    return file.parent / said.removeprefix(prefix).rstrip("\n")


def _filters_by_lfs(attributes: Path) -> bool:
    try:
        return b"filter=lfs" in attributes.read_bytes()
    except OSError:
        return False  # there is none


def _small_files(root: bytes) -> Iterator[bytes]:
    if not os.path.isdir(root):  # noqa: PTH112 (bytes: a name need not be text)
        try:
            rows = [row_of(b"", os.stat(root))]  # noqa: PTH116
        except OSError as error:
            raise DataError(f"{shown(root)}: {reason_of(error)}") from None
    else:
        rows, _ = walk(
            root, compile_ignore([GIT])
        )  # what it cannot list, the digest cannot either, and tells
    for row in rows:
        if row[1] & FORMAT == REGULAR and _LEAST_BYTES <= row[2] <= _MOST_BYTES:
            yield row[0]


def _beginning(root: bytes, name: bytes) -> bytes:
    place = root + b"/" + name if name else root
    try:
        with open(place, "rb") as stream:  # noqa: PTH123
            return stream.read(_MOST_BYTES)
    except OSError as error:
        raise DataError(f"{shown(place)}: {reason_of(error)}") from None
