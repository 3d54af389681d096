"""What differs between two versions of a dataset."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from repro_hydra.data.digest import Entry
from repro_hydra.data.errors import shown
from repro_hydra.record.data import DataDiff, Renamed


def diff_entries(a: str, b: str, before: Iterable[Entry], after: Iterable[Entry]) -> DataDiff:
    """The files, links and empty directories that `before` and `after` don't have in common.

    A file of the same content that lost one name and gained another is renamed; among several of equal
    content the names are paired in their order. Empty files are never taken for renamed ones: they are equal
    without having anything to do with each other. A directory is named only where nothing is in it.

    Parameters
    ----------
    a, b : str
        What to call the two.
    """
    old = {entry.path: entry for entry in before}
    new = {entry.path: entry for entry in after}
    removed = {path: old[path] for path in old.keys() - new.keys()}
    added = {path: new[path] for path in new.keys() - old.keys()}
    changed = [path for path in old.keys() & new.keys() if old[path] != new[path]]
    renamed = _renamed(removed, added)
    for old_path, new_path in renamed:
        del removed[old_path], added[new_path]
    return DataDiff(
        a=a,
        b=b,
        same=old == new,
        added=_names(added.values(), new),
        removed=_names(removed.values(), old),
        changed=[shown(path) for path in sorted(changed)],
        renamed=[Renamed(old=shown(was), new=shown(now)) for was, now in renamed],
    )


def _renamed(removed: dict[bytes, Entry], added: dict[bytes, Entry]) -> list[tuple[bytes, bytes]]:
    free: dict[tuple[object, ...], list[bytes]] = defaultdict(list)
    for path in sorted(added, reverse=True):
        free[added[path][1:]].append(path)
    pairs = []
    for path in sorted(removed):
        entry = removed[path]
        if (entry.kind == "file" and entry.size_bytes) or entry.kind == "symlink":
            candidates = free.get(entry[1:])
            if candidates:
                pairs.append((path, candidates.pop()))
    return pairs


def _names(entries: Iterable[Entry], everything: dict[bytes, Entry]) -> list[str]:
    chosen = list(entries)
    parents: set[bytes] = set()
    if any(entry.kind == "directory" for entry in chosen):
        parents = {path.rpartition(b"/")[0] for path in everything}
    return [
        shown(entry.path) + ("/" if entry.kind == "directory" else "")
        for entry in sorted(chosen)
        if entry.kind != "directory" or entry.path not in parents
    ]
