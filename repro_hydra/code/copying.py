"""How one copy of a work tree is made, with a repository of its own.

The files are copied from the work tree, so that they are the very bytes that a single run would import, whatever
git's filters and line ends would make of them; git then says which of them are not what the snapshot has (somebody
wrote to them in between), and those come from the snapshot. What the snapshot does not hold, such as ``data/`` that
git ignores, is linked in. The copy is a repository of its own which borrows the user's objects, so that a program
that asks git, or looks for a ``.git`` to find its project, is answered as in the user's tree.
"""

# ruff: noqa: PTH103, PTH108, PTH112, PTH114, PTH115, PTH117, PTH120, PTH208, PTH211 (bytes: a name need not be text)
from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from repro_hydra.code.frozen_tree import FrozenTree
from repro_hydra.code.git import Git, join
from repro_hydra.code.repository import borrow_objects, leave_out
from repro_hydra.code.stats import look_at
from repro_hydra.record.schema import Part

_GIT = b".git"
_CACHES = frozenset({b"__pycache__"})
_SUBMODULE = b"160000"
_LINK = b"120000"


class OwnedTree(Part, frozen=True, kw_only=True):
    """What one copy is a copy of."""

    top: str
    tree_id: str
    """The git tree that was copied, or a commit with it."""
    commit: str | None
    branch: str | None


class _Entry(msgspec.Struct, frozen=True):
    mode: bytes
    path: bytes


def make_copy(
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
    git = git_of_user(frozen, environ)
    git.run("read-tree", owner.tree_id)
    entries = _entries(git)
    missing: list[bytes] = []
    for entry in entries:
        if entry.mode != _SUBMODULE and not (
            from_work_tree and _copy(os.fsencode(frozen.top), tree, entry.path)
        ):
            missing.append(entry.path)
    absent = _left_out_of_the_work_tree(frozen, missing, environ) if from_work_tree else frozenset()
    check_out(git, [path for path in missing if path not in absent])
    differing = _not_as_in_the_snapshot(git) - absent
    check_out(git, sorted(differing))
    for entry in entries:
        if entry.mode == _LINK:
            _lead_out_of_the_tree(os.fsencode(frozen.top), tree, entry.path)
    links = _link_the_rest(os.fsencode(frozen.top), tree, {entry.path for entry in entries}, apart)
    _make_repository(frozen, owner, links, environ)
    look_at(tree, [entry.path for entry in entries if entry.mode != _SUBMODULE]).save(frozen.files_file)


def git_of_user(frozen: FrozenTree, environ: Mapping[str, str]) -> Git:
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


def check_out(git: Git, paths: Sequence[bytes]) -> None:
    """Put `paths` into the copy as the snapshot has them."""
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
