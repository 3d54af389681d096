"""A copy of a work tree that stands in for it: which path of the one is which path of the other."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec


class FrozenTree(msgspec.Struct, frozen=True, kw_only=True):
    """Plain values, so that they travel to the nodes of a cluster. All paths are absolute and resolved."""

    folder: str
    """What the copy needs beside itself: who owns it, which files it has."""
    tree: str
    """The copy, named like the work tree: some programs go by the name of the folder that they lie in."""
    top: str
    """The user's work tree."""
    others: tuple[FrozenTree, ...] = ()
    """Copies of the submodules (within this one), and of other repositories that code is imported from."""

    @property
    def all(self) -> tuple[FrozenTree, ...]:
        return (self, *self.others)

    @property
    def owner_file(self) -> Path:
        return Path(self.folder, "owner.json")

    @property
    def files_file(self) -> Path:
        """The files of the copy as they were made."""
        return Path(self.folder, "files")

    @property
    def index(self) -> Path:
        """A git index of the copy, to put a file back from."""
        return Path(self.folder, "index")

    def counterpart(self, path: str) -> str | None:
        """Where a file or folder of the user's tree lies in the copy; None where the copy has it not, or by a link.

        What git ignores (``data/``, a ``.venv``) is linked into the copy: it is the user's own, and stays so.
        """
        for one in self.all:
            found = one._own_counterpart(path)
            if found is not None:
                return found
        return None

    def _own_counterpart(self, path: str) -> str | None:
        absolute = os.path.abspath(path)  # noqa: PTH100 (`resolve` would follow the links that are meant)
        relative = below(absolute, self.top)
        if relative is None:
            relative = below(os.path.realpath(absolute), self.top)
        if relative is None:
            return None
        candidate = os.path.join(self.tree, relative) if relative else self.tree  # noqa: PTH118
        return candidate if below(os.path.realpath(candidate), self.tree) is not None else None

    def shown(self, text: str, start: str = "") -> str:
        """`text` with the user's paths in place of the copy's; relative to `start` where they lie below it."""
        if not any(one.tree in text for one in self.all):
            return text
        inner = below(start, self.top) if start else None
        if inner is not None:
            prefix = os.path.join(self.tree, inner) if inner else self.tree  # noqa: PTH118
            text = text.replace(prefix + os.sep, "")
        return self.absolute(text)

    def absolute(self, text: str) -> str:
        """`text` with the user's absolute paths in place of the copy's."""
        for one in self.all:
            text = text.replace(one.tree, one.top)
        return text


def below(path: str, top: str) -> str | None:
    """`path` relative to `top` (empty for `top` itself); None where it lies elsewhere. Nothing is resolved."""
    if path == top:
        return ""
    prefix = top.rstrip(os.sep) + os.sep
    return path[len(prefix) :] if path.startswith(prefix) else None
