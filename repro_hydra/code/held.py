"""Which files the snapshot of a run holds, asked when the run has ended."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
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


class Snapshot:
    """What a run's snapshot holds of a repository's files; git is asked for the list of them once.

    Parameters
    ----------
    record : CodeRecord
        Of the repository; one that names no repository, or no commit, holds nothing.
    environ : mapping, optional
        Git's environment; this process's by default.

    Raises
    ------
    GitError, GitUnavailableError
        By its methods: git, which made the snapshot, can't be asked any more.
    """

    def __init__(self, record: CodeRecord, environ: Mapping[str, str] | None = None) -> None:
        top, revision = record.repository, record.snapshot or record.commit
        self._top = None if top is None or revision is None else os.path.realpath(top)
        self._revision = revision or ""
        self._environ = os.environ if environ is None else environ

    def holds(self, paths: Collection[str], suspected: Collection[str] = ()) -> Held:
        """Of `paths` and `suspected` (real, absolute), those that it holds.

        Parameters
        ----------
        suspected : collection of str
            Files written to since the snapshot was made: these are compared by content, the others by path.
        """
        below = self._below({*paths, *suspected})
        if not below:
            return Held()
        blobs, submodules = self._tree
        tracked = {path for path, relative in below.items() if relative in blobs}
        for submodule in submodules:
            inside = {path for path, relative in below.items() if relative.startswith(submodule + b"/")}
            if inside:
                tracked |= _tracked(
                    self._git.in_folder(Path(self._git.folder, os.fsdecode(submodule))), inside
                )
        asked = sorted(path for path in tracked & {*suspected} if below[path] in blobs and "\n" not in path)
        changed = set()
        if asked:
            names = b"".join(below[path] + b"\n" for path in asked)
            digests = self._git.run("hash-object", "--stdin-paths", data=names).split()
            changed = {path for path, now in zip(asked, digests, strict=True) if now != blobs[below[path]]}
        return Held(same=frozenset(tracked - changed), changed=frozenset(changed))

    def altered(self, read_at: Mapping[str, str]) -> list[str]:
        """Of files that it holds, those that come out of it otherwise than they were read.

        A filter of git (``filter=NAME`` in ``.gitattributes``) may take away what another one cannot give back, and so
        may the conversion of a file whose lines end in more than one way.

        Parameters
        ----------
        read_at : mapping
            Real path in the user's work tree to where the job read it (a frozen copy), for files unchanged since.
        """
        below = self._below(path for path, place in read_at.items() if "\n" not in place and _is_small(place))
        if not below:
            return []
        blobs, _ = self._tree
        read = _ended([read_at[path] for path in below], "\n")
        found = self._git.run("hash-object", "--no-filters", "--stdin-paths", data=read).split()
        converted = {
            os.fsdecode(relative): path
            for (path, relative), now in zip(below.items(), found, strict=True)
            if blobs.get(relative, now) != now
        }
        if not converted:
            return []
        told = self._git.run("check-attr", "-z", "--stdin", "filter", data=_ended(converted, "\0")).split(
            b"\0"
        )
        exact = {
            os.fsdecode(name) for name, value in zip(told[::3], told[2::3], strict=False) if value in _EXACT
        }
        return [
            path
            for name, path in list(converted.items())[:_MOST_CONVERTED]
            if name not in exact and self._comes_out(name) not in (None, _read(read_at[path]))
        ]

    def _below(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Those in the repository, in their order, to their names in it."""
        top = self._top
        if top is None:
            return {}
        start = len(top.rstrip(os.sep)) + 1
        return {path: os.fsencode(path[start:]) for path in paths if _is_below(path, top)}

    @cached_property
    def _git(self) -> Git:
        assert self._top is not None, "asked of no repository"
        return Git(Path(self._top), self._environ)

    @cached_property
    def _tree(self) -> tuple[dict[bytes, bytes], list[bytes]]:
        """The digest of each file, and the submodules."""
        blobs, submodules = {}, []
        for entry in self._git.run("ls-tree", "-r", "-z", "--full-tree", self._revision).split(b"\0"):
            head, _, path = entry.partition(b"\t")
            if head.startswith(_SUBMODULE):
                submodules.append(path)
            elif path:
                blobs[path] = head.split()[2]
        return blobs, submodules

    def _comes_out(self, name: str) -> bytes | None:
        status, content, _ = self._git.ask("cat-file", "--filters", f"{self._revision}:{name}")
        return content if status == 0 else None


def _is_small(path: str) -> bool:
    try:
        return os.stat(path).st_size <= _LARGEST_CODE_BYTES  # noqa: PTH116
    except OSError:
        return False


def _ended(texts: Iterable[str], by: str) -> bytes:
    return b"".join(os.fsencode(text + by) for text in texts)


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


def _tracked(git: Git, paths: Collection[str]) -> set[str]:
    top = os.fsencode(os.path.realpath(git.folder))
    known = set(git.run("ls-files", "-z").split(b"\0"))
    return {path for path in paths if os.path.relpath(os.fsencode(path), top) in known}


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip(os.sep) + os.sep)
