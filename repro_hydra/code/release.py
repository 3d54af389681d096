"""The end of a sweep's frozen copy: what its jobs wrote into it goes to the user's tree, the rest away."""

# ruff: noqa: PTH112, PTH114, PTH115, PTH208 (paths are bytes here: a name need not be text)
from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from repro_hydra.code.frozen_tree import FrozenTree, below
from repro_hydra.code.git import join
from repro_hydra.code.stats import FileStats

_NOBODYS = frozenset({b".git", b"__pycache__"})


@dataclass(slots=True)
class Released:
    """What became of the files that jobs wrote into the copy, in place of the user's tree."""

    moved: list[Path] = field(default_factory=list)
    """To where they would be without a copy."""
    kept: list[Path] = field(default_factory=list)
    """Put aside, since something else is in their place, or since they are code of the sweep."""


def release(frozen: FrozenTree, left: Path) -> Released:
    """Remove the copy, after everything new in it was moved into the user's tree.

    Parameters
    ----------
    left : Path
        A folder for what cannot be moved there: nothing of the user's is overwritten. Made if need be.

    Raises
    ------
    OSError
        Something could not be moved. The copy stays.
    """
    released = Released()
    for one in frozen.all:
        inside = {below(other.tree, one.tree) for other in frozen.all if other != one}
        apart = {os.fsencode(path) for path in inside if path}
        _take_out(one, left if one is frozen else left / Path(one.tree).name, apart, released)
    written = Path(frozen.folder, "written")
    if written.is_dir():
        released.kept.append(_put(os.fsencode(written), os.fsencode(left / "written")))
    shutil.rmtree(frozen.folder)
    return released


def _take_out(one: FrozenTree, left: Path, apart: set[bytes], released: Released) -> None:
    """Put aside what jobs wrote into one copy, but for what lies `apart` in it: the copies of submodules."""
    tree, top = os.fsencode(one.tree), os.fsencode(one.top)
    try:
        files = FileStats.load(one.files_file)
    except (OSError, msgspec.MsgspecError):
        return  # it was never whole, so no job ran in it
    made = {path for path, _ in files.files}
    for path in _new_things(tree, top, made | apart):
        target = join(top, path)
        if os.path.lexists(target) or not os.path.isdir(os.path.dirname(target)):  # noqa: PTH120
            target = join(os.fsencode(left), path)
            released.kept.append(_put(join(tree, path), target))
        else:
            released.moved.append(_put(join(tree, path), target))
    for path in files.changed(tree):
        if os.path.isfile(join(tree, path)) and not _same(join(tree, path), join(top, path)):  # noqa: PTH113
            released.kept.append(_put(join(tree, path), join(os.fsencode(left), path)))


def _new_things(tree: bytes, top: bytes, made: set[bytes], folder: bytes = b"") -> Iterator[bytes]:
    """What neither the snapshot nor a link of ours put there: whole folders where the user's tree has none."""
    folders = {
        b"/".join(path.split(b"/")[:depth]) for path in made for depth in range(1, path.count(b"/") + 1)
    }
    waiting = [folder]
    while waiting:
        folder = waiting.pop()
        for name in sorted(os.listdir(join(tree, folder) if folder else tree)):
            path = join(folder, name) if folder else name
            absolute = join(tree, path)
            if name in _NOBODYS or path in made or _is_our_link(absolute, join(top, path)):
                continue
            is_folder = os.path.isdir(absolute) and not os.path.islink(absolute)
            if is_folder and (path in folders or os.path.isdir(join(top, path))):
                waiting.append(path)
            else:
                yield path


def _is_our_link(path: bytes, target: bytes) -> bool:
    return os.path.islink(path) and os.readlink(path) == target


def _same(one: bytes, other: bytes) -> bool:
    try:
        return Path(os.fsdecode(one)).read_bytes() == Path(os.fsdecode(other)).read_bytes()
    except OSError:
        return False


def _put(source: bytes, target: bytes) -> Path:
    """Move a file or folder to where nothing is."""
    place = Path(os.fsdecode(target))
    place.parent.mkdir(parents=True, exist_ok=True)
    number = 0
    free = place
    while os.path.lexists(free):
        number += 1
        free = place.with_name(f"{place.name}.{number}")
    shutil.move(os.fsdecode(source), free)
    return free
