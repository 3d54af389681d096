"""The checkpoints of one run in a directory: numbered, the newest that is whole found, old ones let go of. No torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from repro_hydra.checkpoint.errors import CheckpointError, OtherVersion
from repro_hydra.checkpoint.file import TEMPORARY, Header, Say, read_header, write_checkpoint

SUFFIX = ".ckpt"
_NAME = re.compile(rf"(\d{{6,}})-(.+){re.escape(SUFFIX)}")


class Kept(msgspec.Struct, frozen=True):
    """A checkpoint that was looked at and is whole."""

    path: Path
    number: int
    header: Header


class Shelf:
    """A directory of checkpoints, made when the first is saved.

    Parameters
    ----------
    keep : int
        How many of each loop stay; from 1. The one before the newest is what a damaged newest falls back on.
    say : callable
        Told of a checkpoint that is passed over.
    """

    def __init__(self, directory: Path, *, keep: int = 2, say: Say) -> None:
        if keep < 1:
            raise ValueError(f"keep: expected at least 1, found {keep}")
        self.directory = directory
        self._keep = keep
        self._say = say

    def newest(self, name: str | None = None) -> Kept | None:
        """The newest that is whole, of loop `name` or of any; damaged ones are told and passed over.

        Raises
        ------
        OtherVersion
            The newest is whole and of another format: going on without it would throw work away.
        """
        for number, path in sorted(self._numbered(name), reverse=True):
            try:
                return Kept(path, number, read_header(path))
            except OtherVersion:
                raise
            except CheckpointError as error:
                self._say(f"{error}. The one before it is looked for")
        return None

    def numbers(self, name: str | None = None) -> list[int]:
        """Of all that are there, whole or not."""
        return sorted(number for number, _ in self._numbered(name))

    def save(self, header: Header, payload: Any) -> Path:
        """Write the next one, and let go of old ones of the same loop."""
        self.directory.mkdir(parents=True, exist_ok=True)
        number = max((number for number, _ in self._numbered(None)), default=0) + 1
        path = self.directory / f"{number:06d}-{header.name}{SUFFIX}"
        write_checkpoint(path, header, payload)
        self._prune(header.name)
        return path

    def drop_after(self, kept: Kept) -> None:
        """The loop goes on from `kept`: what is newer, and damaged, is called so and counts no more."""
        for number, path in self._numbered(kept.header.name):
            if number > kept.number:
                path.rename(path.with_name(f"{path.name}.damaged"))

    def clean(self) -> None:
        """Take away what a killed process was writing."""
        if self.directory.is_dir():
            for path in self.directory.glob(f".*{SUFFIX}.*{TEMPORARY}"):
                path.unlink(missing_ok=True)

    def _prune(self, name: str) -> None:
        for _, path in sorted(self._numbered(name))[: -self._keep]:
            path.unlink(missing_ok=True)

    def _numbered(self, name: str | None) -> list[tuple[int, Path]]:
        try:
            names = [entry.name for entry in self.directory.iterdir()]
        except FileNotFoundError:
            return []
        found = [(match, entry) for entry in names if (match := _NAME.fullmatch(entry))]
        return [(int(match[1]), self.directory / entry) for match, entry in found if name in (None, match[2])]
