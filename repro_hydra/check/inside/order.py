"""Directories listed in another order: ``os.listdir`` and ``os.scandir``, which glob, walk and pathlib go through."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from repro_hydra.check.inside.notes import Notes, caller, users_frame


def install(variation: int, notes: Notes) -> None:
    """Replace both; import itself, which lists by ``posix.listdir``, is left alone."""
    listdir, scandir = os.listdir, os.scandir
    arrange = _arranger(variation)

    def list_directory(path: Any = ".") -> list[Any]:
        notes.at("directory order", users_frame(caller()))
        return arrange(listdir(path), lambda name: name)

    def scan_directory(path: Any = ".") -> _Scanned:
        notes.at("directory order", users_frame(caller()))
        with scandir(path) as entries:
            return _Scanned(arrange(list(entries), lambda entry: entry.name))

    os.listdir = list_directory
    os.scandir = scan_directory  # type: ignore[assignment]  # an iterator with the same methods
    # os.fwalk and shutil look whether they may list by a descriptor.
    for names in (os.supports_fd, os.supports_follow_symlinks):
        for old, new in ((listdir, list_directory), (scandir, scan_directory)):
            if old in names:
                names.add(new)


def _arranger(variation: int) -> Callable[[list[Any], Callable[[Any], Any]], list[Any]]:
    def arrange(items: list[Any], name_of: Callable[[Any], Any]) -> list[Any]:
        items = sorted(items, key=name_of)
        if variation:
            random.Random(variation).shuffle(
                items
            )  # an order of its own for each variation, the same each time
            if items == sorted(items, key=name_of):
                items.reverse()
        return items

    return arrange


class _Scanned:
    """As `os.scandir` answers: an iterator, and a context manager."""

    def __init__(self, entries: list[Any]) -> None:
        self._entries = iter(entries)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._entries)

    def __enter__(self) -> _Scanned:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._entries = iter(())
