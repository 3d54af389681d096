"""The code of a run in a scratch folder of its own: what is written there reaches no repository of the user's.

Not ``git worktree add``, which writes into the user's repository and leaves an entry there when it is killed, but a
repository of its own that borrows the user's objects. The commit that the run stood on is HEAD, and what differed
from it differs in the work tree, so that a program which asks git is told what it was told then.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from repro_hydra.code.bundle import unbundle
from repro_hydra.code.elsewhere import SUBMODULE
from repro_hydra.code.facts import Location, NoRepositoryError, locate
from repro_hydra.code.git import Git, GitError, GitUnavailableError
from repro_hydra.code.repository import borrow_objects, check_out_commit, convert_as_in, leave_out
from repro_hydra.record.code import CodeRecord
from repro_hydra.record.redact import redact_url
from repro_hydra.reproduce.annexed import ContentNotPlaced, fill_in_contents
from repro_hydra.reproduce.original import Original

_GITLINK = re.compile(rb"^160000 commit ([0-9a-f]+)\t(.*)$", re.DOTALL)

Say = Callable[[str], None]


def _to_nobody(_line: str) -> None:
    """What is said to somebody who did not ask."""


class CodeMissing(Exception):
    """The code cannot be had; the text says what is missing and how to get it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeSource:
    """Where what is needed can be had."""

    location: Location | None
    """A repository here; None: the record's bundle holds everything."""
    snapshot: str | None
    """The commit with everything in it; None: `commit` and the record's patch."""
    bundle: bytes | None = None
    """What the repository lacks."""

    @property
    def top(self) -> Path | None:
        return None if self.location is None else self.location.top

    def shown(self) -> str:
        """What it is and where it comes from, for people."""
        what = f"snapshot {self.snapshot[:12]}" if self.snapshot else "its commit and code.patch"
        where = [] if self.bundle is None else ["code.bundle"]
        return f"{what} from {' and '.join([*where, *([str(self.top)] if self.top else [])])}"


def repositories(folders: Sequence[Path], environ: Mapping[str, str]) -> list[Location]:
    """The work trees that `folders` lie in, each once."""
    found: dict[Path, Location] = {}
    for folder in folders:
        if not folder.is_dir():
            continue
        try:
            location = locate(folder, environ)
        except (NoRepositoryError, GitError, GitUnavailableError):
            continue
        found.setdefault(location.top, location)
    return list(found.values())


def find_code(original: Original, here: Sequence[Location], environ: Mapping[str, str]) -> CodeSource:
    """Where the run's code can be had.

    Raises
    ------
    CodeMissing
    """
    return find_one(original.code, original.code_files, here, environ)


def find_one(
    code: CodeRecord | None, files: Mapping[str, bytes], here: Sequence[Location], environ: Mapping[str, str]
) -> CodeSource:
    """Where the code of one repository can be had; `files` are the patches and bundles of the record.

    Raises
    ------
    CodeMissing
    """
    if code is None or (code.snapshot is None and code.commit is None):
        raise CodeMissing(
            "code: the record holds no commit and no snapshot (see code.json), so there is no code to run"
        )
    for location in here:
        git = Git(location.top, environ)
        if code.snapshot is not None and _tree_of(git, code.snapshot) == code.tree is not None:
            return CodeSource(location=location, snapshot=code.snapshot)
    bundled = _from_bundle(code, files, here, environ)
    if bundled is not None:
        return bundled
    for location in here:
        git = Git(location.top, environ)
        if code.commit is not None and _tree_of(git, code.commit) is not None:
            if code.patch is None or _name(code.patch.path) in files:
                return CodeSource(location=location, snapshot=None)
            raise CodeMissing(
                f"code: commit {code.commit[:12]} is in {location.top}, and what differed from it is not: neither "
                f"the snapshot {str(code.snapshot)[:12]} nor a code.patch that fits the record"
            )
    raise CodeMissing(_not_here(code, here))


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _from_bundle(
    code: CodeRecord, files: Mapping[str, bytes], here: Sequence[Location], environ: Mapping[str, str]
) -> CodeSource | None:
    """The record's bundle, and the repository here that has what it stands on."""
    data = None if code.bundle is None else files.get(_name(code.bundle.path))
    if code.bundle is None or data is None or code.snapshot is None:
        return None
    needed = code.bundle.stands_on
    if not needed:
        return CodeSource(location=None, snapshot=code.snapshot, bundle=data)
    for location in here:
        git = Git(location.top, environ)
        if all(_tree_of(git, commit) is not None for commit in needed):
            return CodeSource(location=location, snapshot=code.snapshot, bundle=data)
    return None


def _not_here(code: CodeRecord, here: Sequence[Location]) -> str:
    searched = ", ".join(str(location.top) for location in here) or "no repository: none is here"
    wanted = f"commit {code.commit[:12]}" if code.commit else f"snapshot {str(code.snapshot)[:12]}"
    how = f"git fetch {redact_url(code.remote)}" if code.remote else "git fetch, where somebody has it"
    return (
        f"code: expected {wanted}, searched {searched}. Run this in a clone of the project that has it; {how}"
    )


def _tree_of(git: Git, commit: str) -> str | None:
    try:
        status, output, _ = git.ask("rev-parse", "--verify", "--quiet", f"{commit}^{{tree}}")
    except GitUnavailableError:
        return None
    return output.decode().strip() if status == 0 else None


def vouching_snapshot(code: CodeRecord | None, here: Sequence[Location], environ: Mapping[str, str]) -> bool:
    """Whether a repository here keeps this very snapshot by a ref of ours: no clone and no fetch brings those."""
    if code is None or code.snapshot is None or code.tree is None:
        return False
    for location in here:
        git = Git(location.top, environ)
        status, output, _ = git.ask("rev-parse", "--verify", "--quiet", f"refs/repro/{code.tree}^{{commit}}")
        if status == 0 and output.decode().strip() == code.snapshot:
            return True
    return False


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder that is gone afterwards, whatever happens."""
    folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="repro-hydra-reproduce-")))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
            patch = None if code.patch is None else files.get(_name(code.patch.path))
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
