"""The snapshots of a repository, and which of them may go."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from repro_hydra.code.git import Git, GitError, GitUnavailableError
from repro_hydra.code.snapshot import REF_PREFIX

SETTLED_AFTER_S = 5.0
"""A snapshot is made just before the record that refers to it, or before its sweep's."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    ref: str
    commit: str


def snapshots(top: Path, environ: Mapping[str, str]) -> list[Snapshot]:
    """Every snapshot that the repository around `top` keeps.

    Raises
    ------
    GitError
    GitUnavailableError
    """
    listing = Git(top, environ).run("for-each-ref", "--format=%(refname) %(objectname)", REF_PREFIX)
    lines = (line.split(" ") for line in listing.decode().splitlines())
    return [Snapshot(ref=ref, commit=commit) for ref, commit in lines]


def settled_snapshots(top: Path, environ: Mapping[str, str]) -> list[Snapshot]:
    """The snapshots, at a moment when each has its record if it ever gets one: waits for those made just now."""
    found = snapshots(top, environ)
    folder = _refs_in(top, environ)
    youngest = max((_made_at(folder / one.ref) for one in found), default=0.0)
    time.sleep(min(SETTLED_AFTER_S, max(0.0, youngest + SETTLED_AFTER_S - time.time())))
    return found


def _refs_in(top: Path, environ: Mapping[str, str]) -> Path:
    common = Git(top, environ).run("rev-parse", "--git-common-dir").rstrip(b"\n")
    return Path(top, os.fsdecode(common))


def unreferred(
    found: Sequence[Snapshot], ids: Collection[str], top: Path, oldest: float, environ: Mapping[str, str]
) -> list[Snapshot]:
    """Those that no record refers to and that were made before `oldest` (seconds since the epoch)."""
    folder = _refs_in(top, environ)
    return [
        one
        for one in found
        if one.commit not in ids
        and one.ref.removeprefix(REF_PREFIX) not in ids
        and _made_at(folder / one.ref) < oldest
    ]


def _made_at(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0  # git has packed it: some days ago


def drop(top: Path, chosen: Sequence[Snapshot], environ: Mapping[str, str]) -> list[str]:
    """Take the refs away; git's own gc removes what they kept. What could not be dropped, in sentences.

    A ref that meanwhile leads elsewhere stays.
    """
    problems = []
    git = Git(top, environ)
    for one in chosen:
        try:
            git.run("update-ref", "-d", one.ref, one.commit)
        except (GitError, GitUnavailableError) as error:
            problems.append(f"{one.ref}: {error}")
    return problems
