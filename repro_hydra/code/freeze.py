"""A sweep's own copy of the code, outside the user's tree: made once, and held as it was made.

The files are copied from the work tree, so that they are the very bytes that a single run would import, whatever
git's filters and line ends would make of them; git then says which of them are not what the snapshot has (somebody
wrote to them in between), and those come from the snapshot. What the snapshot does not hold, such as ``data/`` that
git ignores, is linked in. The copy is a repository of its own which borrows the user's objects, so that a program
that asks git, or looks for a ``.git`` to find its project, is answered as in the user's tree.
"""

# ruff: noqa: PTH103, PTH108, PTH112, PTH113, PTH114, PTH115, PTH117, PTH120, PTH208, PTH211 (bytes: a name need not be text)
from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from repro_hydra.code.frozen_tree import FrozenTree, below
from repro_hydra.code.git import Git, GitError, GitUnavailableError, join
from repro_hydra.code.repository import borrow_objects, leave_out
from repro_hydra.code.stats import FileStats, look_at
from repro_hydra.record.schema import SCHEMA, Part
from repro_hydra.record.store import RecordError, read, write_json

_GIT = b".git"
_CACHES = frozenset({b"__pycache__"})
_SUBMODULE = b"160000"
_LINK = b"120000"


class FreezeError(RuntimeError):
    """The copy cannot be made, or not be had any more; the text says why, and what to do."""


class OwnedTree(Part, frozen=True, kw_only=True):
    """What one copy is a copy of."""

    top: str
    tree_id: str
    """The git tree that was copied, or a commit with it."""
    commit: str | None
    branch: str | None


class Owner(Part, frozen=True, kw_only=True):
    """``owner.json``: whose copy it is, and what it is a copy of."""

    schema: str = SCHEMA
    sweep_id: str
    sweep_dir: str
    host: str
    pid: int
    pid_started_at: float
    created_at: str
    top: str
    tree_id: str
    """The git tree that was copied."""
    commit: str | None
    branch: str | None
    others: list[OwnedTree] = []  # noqa: RUF012 (msgspec gives each struct its own)
    """Submodules, and other repositories that code is imported from."""

    @property
    def main(self) -> OwnedTree:
        return OwnedTree(top=self.top, tree_id=self.tree_id, commit=self.commit, branch=self.branch)


def copies_of(owner: Owner, folder: Path) -> FrozenTree:
    """The copies that lie, or are to lie, in `folder`."""
    top = os.path.realpath(owner.top)
    tree = folder / (Path(top).name or "code")
    others = []
    for number, other in enumerate(owner.others, start=1):
        place, other_top = folder / f"other-{number}", os.path.realpath(other.top)
        inside = below(other_top, top)
        there = tree / inside if inside else place / (Path(other_top).name or "code")
        others.append(FrozenTree(folder=str(place), tree=str(there), top=other_top))
    return FrozenTree(folder=str(folder), tree=str(tree), top=top, others=tuple(others))


def freeze(owner: Owner, place: Path, *, environ: Mapping[str, str]) -> FrozenTree:
    """Make the copy of ``owner.top`` in a new folder below `place`.

    The repository must hold ``owner.tree_id`` by now (`snapshot_code`).

    Raises
    ------
    FreezeError
    """
    top = os.path.realpath(owner.top)
    if below(os.path.realpath(place), top) is not None:
        raise FreezeError(
            f"code.freeze_dir: expected a folder outside of {top}, found {place}. Give another one: "
            "hydra.callbacks.repro.code.freeze_dir=FOLDER"
        )
    folder = place / owner.sweep_id
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
        folder = Path(os.path.realpath(folder))
        frozen = copies_of(owner, folder)
        write_json(frozen.owner_file, owner)
        for one, part in _parts(frozen, owner):
            Path(one.folder).mkdir(exist_ok=True)
            _make(one, part, environ, from_work_tree=True, apart=_inside(one, frozen))
    except (OSError, GitError, GitUnavailableError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise FreezeError(
            f"code.freeze: expected to copy the code into {folder}, found: {error}. Give another place "
            "(hydra.callbacks.repro.code.freeze_dir=FOLDER), or run in place: hydra.callbacks.repro.code.freeze=off"
        ) from None
    return frozen


def hold(frozen: FrozenTree, *, environ: Mapping[str, str]) -> list[str]:
    """Put back whatever file of the copy is not as it was made; the paths of those.

    A job may have written to its own source, a cleaner of caches may have passed by, and on another node the copy
    may not be there at all. What was written is kept beside the copy, under ``written``.

    Raises
    ------
    FreezeError
        It cannot be put back.
    """
    try:
        return [path for one in frozen.all for path in _hold(one, frozen, environ)]
    except (OSError, ValueError, RecordError, GitError, GitUnavailableError) as error:
        raise FreezeError(
            f"the frozen code of this sweep: expected it in {frozen.tree}, found: {error}. It must lie where every "
            "node sees it: hydra.callbacks.repro.code.freeze_dir=FOLDER"
        ) from None


def _hold(one: FrozenTree, whole: FrozenTree, environ: Mapping[str, str]) -> list[str]:
    files = FileStats.load(one.files_file) if Path(one.tree).is_dir() and one.files_file.is_file() else None
    if files is None:
        owner = read(whole.owner_file, Owner)
        part = next(part for copy, part in _parts(whole, owner) if copy == one)
        Path(one.folder).mkdir(exist_ok=True)
        _make(one, part, environ, from_work_tree=False, apart=_inside(one, whole))
        return [one.tree]
    changed = files.changed(os.fsencode(one.tree))
    if not changed:
        return []
    _keep_what_was_written(one, whole, changed)
    _check_out(_git_of_user(one, environ), changed)
    look_at(os.fsencode(one.tree), [path for path, _ in files.files]).save(one.files_file)
    return [os.fsdecode(path) for path in changed]


def _parts(frozen: FrozenTree, owner: Owner) -> list[tuple[FrozenTree, OwnedTree]]:
    return list(zip(frozen.all, (owner.main, *owner.others), strict=True))


def _inside(one: FrozenTree, whole: FrozenTree) -> set[bytes]:
    """The copies of submodules that lie within `one`, relative to it."""
    paths = (below(other.tree, one.tree) for other in whole.all if other != one)
    return {os.fsencode(path) for path in paths if path}


# ------------------------------------------------------------------ making


class _Entry(msgspec.Struct, frozen=True):
    mode: bytes
    path: bytes


def _make(
    frozen: FrozenTree,
    owner: OwnedTree,
    environ: Mapping[str, str],
    *,
    from_work_tree: bool,
    apart: set[bytes],
) -> None:
    """Lay out one copy, but for what lies `apart` within it: the copies of submodules."""
    tree = os.fsencode(frozen.tree)
    os.makedirs(tree, exist_ok=True)
    git = _git_of_user(frozen, environ)
    git.run("read-tree", owner.tree_id)
    entries = _entries(git)
    missing: list[bytes] = []
    for entry in entries:
        if entry.mode != _SUBMODULE and not (
            from_work_tree and _copy(os.fsencode(frozen.top), tree, entry.path)
        ):
            missing.append(entry.path)
    absent = _left_out_of_the_work_tree(frozen, missing, environ) if from_work_tree else frozenset()
    _check_out(git, [path for path in missing if path not in absent])
    differing = _not_as_in_the_snapshot(git) - absent
    _check_out(git, sorted(differing))
    for entry in entries:
        if entry.mode == _LINK:
            _lead_out_of_the_tree(os.fsencode(frozen.top), tree, entry.path)
    links = _link_the_rest(os.fsencode(frozen.top), tree, {entry.path for entry in entries}, apart)
    _make_repository(frozen, owner, links, environ)
    look_at(tree, [entry.path for entry in entries if entry.mode != _SUBMODULE]).save(frozen.files_file)


def _git_of_user(frozen: FrozenTree, environ: Mapping[str, str]) -> Git:
    """The user's repository (its filters, its attributes) with the copy as work tree and an index beside it."""
    here = Git(Path(frozen.top), environ)
    git_dir = here.run("rev-parse", "--absolute-git-dir").rstrip(b"\n")
    return Git(
        Path(frozen.tree),
        environ,
        GIT_DIR=os.fsdecode(git_dir),
        GIT_WORK_TREE=frozen.tree,
        GIT_INDEX_FILE=str(frozen.index),
    )


def _entries(git: Git) -> list[_Entry]:
    listing = git.run("ls-files", "-s", "-z").split(b"\0")[:-1]
    return [_Entry(line.partition(b" ")[0], line.partition(b"\t")[2]) for line in listing]


def _copy(top: bytes, tree: bytes, path: bytes) -> bool:
    """Copy a file or link with its times and its mode; False where it is not there."""
    source, target = join(top, path), join(tree, path)
    try:
        state = os.lstat(source)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if stat.S_ISLNK(state.st_mode):
            os.symlink(os.readlink(source), target)
        elif stat.S_ISREG(state.st_mode):
            shutil.copy2(source, target)
        else:
            return False
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _lead_out_of_the_tree(top: bytes, tree: bytes, path: bytes) -> None:
    """A link that leaves the user's tree by a relative path has to leave the copy for the same place."""
    link = join(tree, path)
    if not os.path.islink(link) or os.path.isabs(written := os.readlink(link)):
        return
    leads_to = os.path.normpath(join(os.path.dirname(join(top, path)), written))
    if leads_to != top and not leads_to.startswith(top + b"/"):
        os.unlink(link)
        os.symlink(leads_to, link)


def _left_out_of_the_work_tree(
    frozen: FrozenTree, missing: Sequence[bytes], environ: Mapping[str, str]
) -> frozenset[bytes]:
    """Of `missing`, what a sparse checkout leaves out: a single run does not find it either."""
    if not missing:
        return frozenset()
    listing = Git(Path(frozen.top), environ).run("ls-files", "-t", "-z").split(b"\0")
    return frozenset(missing) & {line[2:] for line in listing if line.startswith(b"S ")}


def _not_as_in_the_snapshot(git: Git) -> set[bytes]:
    """What was written to between the snapshot and the copy. Its exit status only says that there is such a file."""
    git.ask("update-index", "-q", "--refresh", "--ignore-submodules")
    return set(git.run("diff-files", "--name-only", "-z", "--ignore-submodules=all").split(b"\0")[:-1])


def _check_out(git: Git, paths: Sequence[bytes]) -> None:
    if paths:
        git.run("checkout-index", "-f", "-u", "-z", "--stdin", data=b"".join(path + b"\0" for path in paths))


def _link_the_rest(top: bytes, tree: bytes, captured: set[bytes], apart: set[bytes]) -> list[bytes]:
    """Link what the snapshot does not hold into the folders that it does; the links, relative to the tree."""
    folders = {b""}
    for path in captured:
        parts = path.split(b"/")[:-1]
        folders.update(b"/".join(parts[: depth + 1]) for depth in range(len(parts)))
    links = []
    for folder in sorted(folders):
        if not os.path.isdir(join(tree, folder)) or os.path.islink(join(tree, folder)):
            continue
        try:
            names = os.listdir(join(top, folder))
        except OSError:
            continue
        for name in names:
            path = join(folder, name) if folder else name
            if name == _GIT or name in _CACHES or path in folders or path in apart:
                continue
            target = join(tree, path)
            if not os.path.lexists(target):
                os.symlink(join(top, path), target)
                links.append(path)
    return links


def _make_repository(
    frozen: FrozenTree, owner: OwnedTree, links: Sequence[bytes], environ: Mapping[str, str]
) -> None:
    """The copy's own ``.git``: HEAD where the user's is, its settings, and the links unseen."""
    tree = Path(frozen.tree)
    if (tree / ".git").exists():
        shutil.rmtree(tree / ".git")
    user_git = Git(Path(frozen.top), environ)
    answer = user_git.run("rev-parse", "--git-path", "objects", "--absolute-git-dir", "--git-common-dir")
    objects, _, common = (
        Path(frozen.top, os.fsdecode(line)).absolute() for line in answer.rstrip(b"\n").split(b"\n")
    )
    git = borrow_objects(tree, objects, environ, len(owner.tree_id))
    config = tree / ".git" / "config"
    own = config.read_text()
    settings = common / "config"
    # Theirs first: what this repository says of itself must win.
    include = str(settings).replace("\\", "\\\\").replace('"', '\\"')
    config.write_text(
        f'[include]\n\tpath = "{include}"\n{own}[core]\n\tworktree = "{_quoted(frozen.tree)}"\n'
    )
    info = tree / ".git" / "info"
    info.mkdir(exist_ok=True)
    with suppress(OSError):
        shutil.copyfile(common / "info" / "attributes", info / "attributes")
    leave_out(tree, links, as_in=common)
    if owner.commit is None:
        return
    if owner.branch is not None:
        git.run("symbolic-ref", "HEAD", f"refs/heads/{owner.branch}")
    git.run("update-ref", *(() if owner.branch is not None else ("--no-deref",)), "HEAD", owner.commit)
    git.run("read-tree", owner.commit)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _keep_what_was_written(frozen: FrozenTree, whole: FrozenTree, changed: Sequence[bytes]) -> None:
    for path in changed:
        source = join(os.fsencode(frozen.tree), path)
        if not os.path.isfile(source) or os.path.islink(source):
            continue
        target = join(os.fsencode(whole.folder), b"written/" + path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy2(source, target)
