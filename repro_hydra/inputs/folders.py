"""Many files as few: a folder stands for what was read in it, once there are too many to name."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

NAMED_ONE_BY_ONE = 20
_ALIKE = 3
"""So many subfolders that would each stand for their files are the parts of one data set."""


@dataclass(slots=True)
class _Node:
    path: str
    files: list[str] = field(default_factory=list)
    below: dict[str, _Node] = field(default_factory=dict)

    def all_files(self) -> Iterator[str]:
        yield from self.files
        for child in self.below.values():
            yield from child.all_files()


def in_folders(paths: Iterable[str], never: Collection[str] = ()) -> dict[str, list[str]]:
    """What to name, and the files that it stands for: a file by itself, or a folder for those below it.

    Parameters
    ----------
    never : collection of str
        Folders that are too wide to name (the project, the home); what lies in them is named by itself.

    Examples
    --------
    >>> images = [f"/data/cats/{number}.png" for number in range(100)]
    >>> [(name, len(files)) for name, files in in_folders([*images, "/data/labels.csv"]).items()]
    [('/data/labels.csv', 1), ('/data/cats', 100)]
    """
    root = _Node("")
    for path in sorted(paths):
        node = root
        for part in path.split(os.sep)[:-1]:  # noqa: PTH206 (text: a Path for each of 200,000 is slow)
            node = node.below.setdefault(part, _Node(f"{node.path}{os.sep}{part}" if part else ""))
        node.files.append(path)
    return _named(root, frozenset(never))


def _named(node: _Node, never: frozenset[str]) -> dict[str, list[str]]:
    files = list(node.all_files())
    named: dict[str, list[str]] = {}
    if len(files) <= NAMED_ONE_BY_ONE:
        return {path: [path] for path in files}
    wide = node.path in never or not node.path
    if not wide and len(node.files) + len(node.below) > NAMED_ONE_BY_ONE:
        return {node.path: files}
    named = {path: [path] for path in node.files}
    for child in node.below.values():
        named |= _named(child, never)
    parts = sum(1 for name in named if name in {child.path for child in node.below.values()})
    return {node.path: files} if parts >= _ALIKE and not wide else named
