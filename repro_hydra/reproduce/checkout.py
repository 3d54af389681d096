"""The code of a run in a scratch folder of its own: what is written there reaches no repository of the user's.

Not ``git worktree add``, which writes into the user's repository and leaves an entry there when it is killed, but a
repository of its own that borrows the user's objects. The commit that the run stood on is HEAD, and what differed
from it differs in the work tree, so that a program which asks git is told what it was told then.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from repro_hydra.code.bundle import unbundle
from repro_hydra.code.elsewhere import SUBMODULE
from repro_hydra.code.facts import Location, NoRepositoryError, locate
from repro_hydra.code.git import Git, GitError, GitUnavailableError
from repro_hydra.code.repository import borrow_objects, check_out_commit, convert_as_in, leave_out
from repro_hydra.record.code import CodeRecord
from repro_hydra.reproduce.annexed import ContentNotPlaced, fill_in_contents
from repro_hydra.reproduce.code_source import CodeMissing, CodeSource, file_name, find_one
from repro_hydra.reproduce.original import Original

_GITLINK = re.compile(rb"^160000 commit ([0-9a-f]+)\t(.*)$", re.DOTALL)

Say = Callable[[str], None]


def _to_nobody(_line: str) -> None:
    """What is said to somebody who did not ask."""


def check_out(
    original: Original,
    source: CodeSource,
    tree: Path,
    environ: Mapping[str, str],
    near: Sequence[Location] = (),
    say: Say = _to_nobody,
) -> None:
    """Put the run's code into `tree`, a new folder.

    Parameters
    ----------
    near : sequence of Location
        Repositories that may have what a submodule needs.
    say : callable, optional
        Told of what had to be done otherwise than in the user's repository.

    Raises
    ------
    CodeMissing
        Objects are missing, or the patch does not give the tree that the record names.
    """
    assert original.code is not None
    code, files = original.code, original.code_files
    submodules: dict[str, CodeRecord | None] = {
        module.path: None for module in code.submodules if module.dirty is not None
    }
    for other in code.others:
        for by in other.imported_by:
            if by.startswith(SUBMODULE):
                submodules[by.removeprefix(SUBMODULE)] = other
    check_out_one(code, files, source, tree, environ, submodules=submodules, near=near, say=say)


def check_out_one(
    code: CodeRecord,
    files: Mapping[str, bytes],
    source: CodeSource,
    tree: Path,
    environ: Mapping[str, str],
    *,
    submodules: Mapping[str, CodeRecord | None] | None = None,
    near: Sequence[Location] = (),
    say: Say = _to_nobody,
) -> None:
    """Put the code of one repository into `tree`.

    Parameters
    ----------
    submodules : mapping, optional
        Those that the run had, by their paths, each with the record's snapshot; None where a remote has its commit.
    say : callable, optional
        Told of what had to be done otherwise than in the user's repository.

    Raises
    ------
    CodeMissing
    """
    try:
        git = _new_repository(tree, source.location, environ, len(code.commit or code.snapshot or ""))
        if source.bundle is not None:
            unbundle(source.bundle, git)
        if source.snapshot is not None:
            _check_out_commit(git, source.snapshot, say)
        else:
            assert code.commit is not None
            _check_out_commit(git, code.commit, say)
            patch = None if code.patch is None else files.get(file_name(code.patch.path))
            if patch:
                git.run("apply", "--index", "--whitespace=nowarn", "-", data=patch)
        found = git.run("write-tree", "--missing-ok").decode().strip()
        if code.tree is not None and found != code.tree:
            raise CodeMissing(
                f"code: {source.shown()} gives the tree {found[:12]}, and the record names {code.tree[:12]}: one of "
                "them is not what the run had"
            )
        if source.location is not None:
            fill_in_contents(git, tree, source.location)
        _check_out_submodules(git, tree, source.top, submodules or {}, files, environ, near, say)
        if code.commit is not None:
            git.run("reset", "-q", "--mixed", code.commit)
    except GitError as error:
        raise CodeMissing(f"code: {source.top}: git cannot restore it: {error}") from None
    except (GitUnavailableError, ContentNotPlaced) as error:
        raise CodeMissing(f"code: {error}") from None


def _new_repository(tree: Path, like: Location | None, environ: Mapping[str, str], id_length: int) -> Git:
    """One that has the objects of the user's repository `like`, and treats files as that does."""
    git = borrow_objects(tree, None if like is None else like.objects, environ, id_length)
    if like is not None:
        leave_out(tree, as_in=Path(os.path.realpath(like.objects)).parent)
        convert_as_in(git, git.in_folder(like.top))
    return git


def _check_out_commit(git: Git, commit: str, say: Say) -> None:
    for name in check_out_commit(git, commit):
        say(
            f"code: the filter {name} of your repository fails in a tree of its own, so its files are as they were "
            "committed (encrypted, say), not as the run read them"
        )


def _check_out_submodules(
    git: Git,
    tree: Path,
    top: Path | None,
    kept: Mapping[str, CodeRecord | None],
    files: Mapping[str, bytes],
    environ: Mapping[str, str],
    near: Sequence[Location],
    say: Say,
) -> None:
    """From the record's snapshots of them, else the commits that the tree names, from the user's work tree."""
    written = git.run("write-tree", "--missing-ok").decode().strip()
    for entry in git.run("ls-tree", "-r", "-z", written).split(b"\0"):
        match = _GITLINK.match(entry)
        if match is None:
            continue
        commit, path = match[1].decode(), os.fsdecode(match[2])
        target = tree / path
        if not Path(os.path.realpath(target)).is_relative_to(tree):
            raise CodeMissing(f"code: submodule {path!r} leads out of the tree")
        here = _initialised(top, path, environ)
        other = kept.get(path)
        if other is not None:
            source = find_one(other, files, near if here is None else [here, *near], environ)
            check_out_one(other, files, source, target, environ, say=say)
        elif here is not None:
            inner = _new_repository(target, here, environ, len(commit))
            _check_out_commit(inner, commit, say)
            fill_in_contents(inner, target, here)
        elif path in kept:  # else it was not initialised for the run either
            raise CodeMissing(
                f"code: submodule {path}: expected commit {commit[:12]}, found none here. Run this in a clone with "
                "git submodule update --init"
            )


def _initialised(top: Path | None, path: str, environ: Mapping[str, str]) -> Location | None:
    """The user's own work tree of a submodule."""
    if top is None:
        return None
    try:
        location = locate(top / path, environ)
    except (NoRepositoryError, GitError, GitUnavailableError):
        return None
    return location if location.top == Path(os.path.realpath(top / path)) else None
