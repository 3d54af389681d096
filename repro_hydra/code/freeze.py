"""A sweep's own copies of the code, outside the user's tree: made once, and held as they were made.

How one is made stands in `copying`.
"""

# ruff: noqa: PTH103, PTH113, PTH114, PTH120 (bytes: a name need not be text)
from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from repro_hydra.code.copying import OwnedTree, check_out, git_of_user, make_copy
from repro_hydra.code.frozen_tree import FrozenTree, below
from repro_hydra.code.git import GitError, GitUnavailableError, join
from repro_hydra.code.stats import FileStats, look_at
from repro_hydra.record.schema import SCHEMA, Part
from repro_hydra.record.store import RecordError, read, write_json


class FreezeError(RuntimeError):
    """The copy cannot be made, or not be had any more; the text says why, and what to do."""


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
            make_copy(one, part, environ, from_work_tree=True, apart=_inside(one, frozen))
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
        make_copy(one, part, environ, from_work_tree=False, apart=_inside(one, whole))
        return [one.tree]
    changed = files.changed(os.fsencode(one.tree))
    if not changed:
        return []
    _keep_what_was_written(one, whole, changed)
    check_out(git_of_user(one, environ), changed)
    look_at(os.fsencode(one.tree), [path for path, _ in files.files]).save(one.files_file)
    return [os.fsdecode(path) for path in changed]


def _parts(frozen: FrozenTree, owner: Owner) -> list[tuple[FrozenTree, OwnedTree]]:
    return list(zip(frozen.all, (owner.main, *owner.others), strict=True))


def _inside(one: FrozenTree, whole: FrozenTree) -> set[bytes]:
    """The copies of submodules that lie within `one`, relative to it."""
    paths = (below(other.tree, one.tree) for other in whole.all if other != one)
    return {os.fsencode(path) for path in paths if path}


def _keep_what_was_written(frozen: FrozenTree, whole: FrozenTree, changed: Sequence[bytes]) -> None:
    for path in changed:
        source = join(os.fsencode(frozen.tree), path)
        if not os.path.isfile(source) or os.path.islink(source):
            continue
        target = join(os.fsencode(whole.folder), b"written/" + path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy2(source, target)
