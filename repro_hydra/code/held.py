"""Which files the snapshot of a run holds, asked when the run has ended."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import msgspec

from repro_hydra.code.git import Git, GitError, GitUnavailableError
from repro_hydra.record.code import CodeRecord

_SUBMODULE = b"160000"
_EXACT = frozenset({b"lfs", b"annex"})
"""Filters that give back what they took, by its digest: their files may be large, and are not read again."""
_MOST_CONVERTED = 200
_LARGEST_CODE_BYTES = 32 << 20


class Held(msgspec.Struct, frozen=True):
    """What a snapshot holds of some files."""

    same: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()
    """It has the path, with another content."""


def held_by_snapshot(
    record: CodeRecord | None,
    paths: Collection[str],
    suspected: Collection[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Held:
    """Of `paths` and `suspected` (real, absolute), those that the snapshot of `record` holds.

    Parameters
    ----------
    suspected : collection of str
        Files written to since the snapshot was made: these are compared by content, the others by path.

    Raises
    ------
    GitError, GitUnavailableError
        Git, which made the snapshot, can't be asked any more.
    """
    place = _kept_in(record)
    if place is None:
        return Held()
    top, revision = place
    git = Git(Path(top), os.environ if environ is None else environ)
    start = len(top.rstrip(os.sep)) + 1
    below = {path: os.fsencode(path[start:]) for path in {*paths, *suspected} if _is_below(path, top)}
    if not below:
        return Held()
    blobs, submodules = _tree(git, revision)
    tracked = {path for path, relative in below.items() if relative in blobs}
    for submodule in submodules:
        inside = {path for path, relative in below.items() if relative.startswith(submodule + b"/")}
        if inside:
            tracked |= _tracked(git.in_folder(Path(top, os.fsdecode(submodule))), inside)
    asked = sorted(path for path in tracked & {*suspected} if below[path] in blobs and "\n" not in path)
    changed = set()
    if asked:
        names = b"".join(below[path] + b"\n" for path in asked)
        digests = git.run("hash-object", "--stdin-paths", data=names).split()
        changed = {path for path, now in zip(asked, digests, strict=True) if now != blobs[below[path]]}
    return Held(same=frozenset(tracked - changed), changed=frozenset(changed))


def altered_by_git(
    record: CodeRecord | None, read_at: Mapping[str, str], environ: Mapping[str, str] | None = None
) -> list[str]:
    """Of files that the snapshot holds, those that come out of it otherwise than they were read.

    A filter of git (``filter=NAME`` in ``.gitattributes``) may take away what another one cannot give back, and so
    may the conversion of a file whose lines end in more than one way.

    Parameters
    ----------
    read_at : mapping
        Real path in the user's work tree to where the job read it (a frozen copy), for files unchanged since.

    Raises
    ------
    GitError, GitUnavailableError
        Git, which made the snapshot, can't be asked any more.
    """
    place = _kept_in(record)
    if place is None:
        return []
    top, revision = place
    below = {
        os.path.relpath(path, top): path
        for path in read_at
        if _is_below(path, top) and "\n" not in read_at[path]
    }
    if not below:
        return []
    git = Git(Path(top), os.environ if environ is None else environ)
    blobs, _ = _tree(git, revision)
    names = [name for name in below if _is_small(read_at[below[name]])]
    read = _ended([read_at[below[name]] for name in names], "\n")
    found = git.run("hash-object", "--no-filters", "--stdin-paths", data=read).split()
    converted = [
        name for name, now in zip(names, found, strict=True) if blobs.get(os.fsencode(name), now) != now
    ]
    if not converted:
        return []
    asked = git.run("check-attr", "-z", "--stdin", "filter", data=_ended(converted, "\0")).split(b"\0")
    exact = {
        os.fsdecode(name) for name, value in zip(asked[::3], asked[2::3], strict=False) if value in _EXACT
    }
    return [
        below[name]
        for name in converted[:_MOST_CONVERTED]
        if name not in exact and _comes_out(git, revision, name) not in (None, _read(read_at[below[name]]))
    ]


def _is_small(path: str) -> bool:
    try:
        return os.stat(path).st_size <= _LARGEST_CODE_BYTES  # noqa: PTH116
    except OSError:
        return False


def _kept_in(record: CodeRecord | None) -> tuple[str, str] | None:
    """The top of the work tree, and the commit that holds what a run had of it."""
    revision = None if record is None else record.snapshot or record.commit
    if record is None or record.repository is None or revision is None:
        return None
    return os.path.realpath(record.repository), revision


def _ended(texts: Iterable[str], by: str) -> bytes:
    return b"".join(os.fsencode(text + by) for text in texts)


def _comes_out(git: Git, revision: str, name: str) -> bytes | None:
    status, content, _ = git.ask("cat-file", "--filters", f"{revision}:{name}")
    return content if status == 0 else None


def _read(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except OSError:
        return None


def ignored_by_git(record: CodeRecord | None, paths: Collection[str]) -> frozenset[str]:
    """Those of `paths` that git ignores: the reason why a snapshot leaves them out."""
    if record is None or record.repository is None or not paths:
        return frozenset()
    top = os.path.realpath(record.repository)
    data = b"".join(os.fsencode(path) + b"\0" for path in paths if _is_below(os.path.realpath(path), top))
    try:
        _, output, _ = Git(Path(top), os.environ).ask("check-ignore", "-z", "--stdin", data=data)
    except (GitError, GitUnavailableError):
        return frozenset()  # only the words of a message depend on it
    return frozenset(os.fsdecode(path) for path in output.split(b"\0") if path)


def _tree(git: Git, revision: str) -> tuple[dict[bytes, bytes], list[bytes]]:
    blobs, submodules = {}, []
    for entry in git.run("ls-tree", "-r", "-z", "--full-tree", revision).split(b"\0"):
        head, _, path = entry.partition(b"\t")
        if head.startswith(_SUBMODULE):
            submodules.append(path)
        elif path:
            blobs[path] = head.split()[2]
    return blobs, submodules


def _tracked(git: Git, paths: Collection[str]) -> set[str]:
    top = os.fsencode(os.path.realpath(git.folder))
    known = set(git.run("ls-files", "-z").split(b"\0"))
    return {path for path in paths if os.path.relpath(os.fsencode(path), top) in known}


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip(os.sep) + os.sep)
