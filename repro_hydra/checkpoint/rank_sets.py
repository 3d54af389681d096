"""The checkpoints of a run of several ranks: a folder for each, one part in it for each rank, found only when whole.

A set is whole when every rank's part is there, each with its digest, and all stand at the same place. Its name holds
the step and the attempt that made it, so that no part ever comes among those of another step or attempt. No torch.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from repro_hydra.checkpoint.errors import CheckpointError, OtherVersion
from repro_hydra.checkpoint.file import TEMPORARY, Header, Say, read_header, write_checkpoint
from repro_hydra.checkpoint.shelf import Kept, Shelf

_SET = re.compile(r"(\d{6,})-(.+)-step(\d+)-([0-9a-f]{8})\.ranks")
_PART = re.compile(r"\d{6,}-step\d+\.rank(\d+)of(\d+)\.ckpt")
RANK = "rank"
"""Where a part's header tells which it is."""


class OtherWorld(CheckpointError):
    """Whole checkpoints, of another number of ranks than this run has."""


class _Missing(CheckpointError):
    """A rank's part is not there: the process ended before all had written theirs."""


@dataclass(frozen=True, slots=True, order=True)
class RankSet:
    """A folder of parts; nothing was looked at yet."""

    number: int
    name: str
    step: int
    folder: Path

    def part(self, rank: int, world: int) -> Path:
        return self.folder / f"{self.number:06d}-step{self.step}.rank{rank}of{world}.ckpt"

    def world(self) -> int | None:
        """Of how many ranks it is; None for an empty folder, or one of several worlds."""
        worlds = {int(match[2]) for name in _names(self.folder) if (match := _PART.fullmatch(name))}
        return worlds.pop() if len(worlds) == 1 else None

    def missing(self) -> list[int]:
        """The ranks without a part."""
        world = self.world() or 0
        return [rank for rank in range(world) if not self.part(rank, world).exists()]

    def look(self) -> list[Header]:
        """Each rank's header, with every part's digest verified.

        Raises
        ------
        CheckpointError
            A part is missing or damaged, or they stand at different places.
        OtherVersion
            Of another format.
        """
        world = self.world()
        if world is None:
            raise _Missing(f"{self.folder}: expected a part for each rank, found none")
        missing = self.missing()
        if missing:
            named = ", ".join(f"rank {rank}" for rank in missing)
            raise _Missing(f"{self.folder}: expected a part for each of {world} ranks, found none of {named}")
        headers = [read_header(self.part(rank, world)) for rank in range(world)]
        for rank, header in enumerate(headers):
            mine, first = _place(header), _place(headers[0])
            if mine != {**first, RANK: rank} or header.step != self.step or header.name != self.name:
                raise CheckpointError(
                    f"{self.part(rank, world)}: expected the part of rank {rank} of {world} at the place of rank 0, "
                    f"{first}, found {mine}"
                )
        return headers


def sets_in(directory: Path, name: str | None = None) -> list[RankSet]:
    """All, of loop `name` or of any, oldest first."""
    found = [(match, entry) for entry in _names(directory) if (match := _SET.fullmatch(entry))]
    return sorted(
        RankSet(int(match[1]), match[2], int(match[3]), directory / entry)
        for match, entry in found
        if name in (None, match[2])
    )


def newest_set(
    directory: Path, name: str | None, world: int, say: Say, rank: int = 0
) -> tuple[RankSet, Kept] | None:
    """The newest that is whole, and the part of `rank` in it; those that are not are told and passed over.

    Raises
    ------
    OtherWorld
        It is of another number of ranks.
    OtherVersion
        It is of another format.
    """
    for one in reversed(sets_in(directory, name)):
        try:
            headers = one.look()
        except OtherVersion:
            raise
        except CheckpointError as error:
            say(f"{error}. The set before it is looked for")
            continue
        if len(headers) != world:
            raise OtherWorld(
                f"{one.folder}: expected the checkpoint of {_ranks(world)}, as this run has, found one of "
                f"{_ranks(len(headers))}. Start {_ranks(len(headers))}, or a run of its own"
            )
        return one, Kept(one.part(rank, world), one.number, headers[rank])
    return None


def newest_of_either(directory: Path, world: int, say: Say) -> Kept | None:
    """The newest checkpoint of any loop, for a run of `world` ranks.

    Raises
    ------
    OtherWorld, OtherVersion
        As `newest_set`.
    """
    refuse_other_world(directory, None, world)
    if world == 1:
        return Shelf(directory, say=say).newest()
    found = newest_set(directory, None, world, say)
    return None if found is None else found[1]


def refuse_other_world(directory: Path, name: str | None, world: int) -> None:
    """Stop where one process would begin anew beside the checkpoints of several ranks, or the other way round.

    Raises
    ------
    OtherWorld
        Saying so.
    """
    there = sets_in(directory, name) if world == 1 else Shelf(directory, say=lambda _: None).numbers(name)
    if there:
        found = "several ranks" if world == 1 else "one process"
        raise OtherWorld(
            f"{directory}: expected checkpoints of {_ranks(world)}, as this run has, found some of {found}. "
            "Start as many as before, or a run of its own"
        )


class RankShelf:
    """Where one rank puts its parts; whoever makes a set whole lets go of old ones.

    Parameters
    ----------
    name : str
        The loop's.
    attempt : str
        Eight hexadecimal digits that all ranks of this attempt share.
    number : int
        The highest number there was when all ranks entered the loop: each counts on from it.
    keep : int
        How many whole sets of each loop stay.
    """

    def __init__(
        self, directory: Path, name: str, *, rank: int, world: int, attempt: str, number: int, keep: int
    ) -> None:
        self.directory = directory
        self._name = name
        self.rank, self._world = rank, world
        self._attempt = attempt
        self._number = number
        self._keep = keep
        self._set: RankSet | None = None

    def next_set(self, step: int) -> None:
        """All ranks make a checkpoint here, whether each can write its part or not: it has the next number."""
        self._number += 1
        folder = f"{self._number:06d}-{self._name}-step{step}-{self._attempt}.ranks"
        self._set = RankSet(self._number, self._name, step, self.directory / folder)

    @property
    def _current(self) -> RankSet:
        assert self._set is not None, "no set was begun"
        return self._set

    def save(self, header: Header, payload: Any) -> Path:
        """Write this rank's part of the set.

        Raises
        ------
        OSError
            As the file system says.
        """
        parts = {
            **header.parts,
            RANK: self.rank,
            "world": self._world,
            "position": payload["position"],
        }
        self._current.folder.mkdir(parents=True, exist_ok=True)
        path = self._current.part(self.rank, self._world)
        write_checkpoint(path, msgspec.structs.replace(header, parts=parts), payload)
        # Whoever comes last makes the set whole; where a part can't be written, rank 0 goes on making room.
        if self.rank == 0 or not self.missing():
            self._prune()
        return path

    def missing(self) -> list[int]:
        """The ranks whose part of the set is not there (yet)."""
        part = self._current.part
        return [rank for rank in range(self._world) if not part(rank, self._world).exists()]

    def drop_after(self, kept: Kept) -> None:
        """The ranks go on from `kept`: what is newer is not whole, and goes; what is damaged is called so."""
        if self.rank:
            return
        for one in sets_in(self.directory, self._name):
            if one.number > kept.number:
                _drop(one)

    def _prune(self) -> None:
        """Let go of the sets before those that stay; a set that is not whole yet counts for none."""
        sets = sets_in(self.directory, self._name)
        whole = [one for one in sets if one.world() == self._world and not one.missing()]
        for one in sets:
            if len(whole) >= self._keep and one.number < whole[-self._keep].number:
                _take_away(one.folder)


def clean(directory: Path) -> None:
    """Take away what killed processes were writing."""
    for one in sets_in(directory):
        for path in one.folder.glob(f".*{TEMPORARY}"):
            path.unlink(missing_ok=True)


def highest_number(directory: Path) -> int:
    """Of all sets, whole or not; 0 where there is none."""
    return max((one.number for one in sets_in(directory)), default=0)


def _drop(one: RankSet) -> None:
    if one.world() is None or one.missing():
        _take_away(one.folder)  # it can never be whole
    else:
        one.folder.rename(one.folder.with_name(f"{one.folder.name}.damaged"))


def _take_away(folder: Path) -> None:
    # What is left costs room and nothing else, and is tried again. Two ranks may be at it at once.
    shutil.rmtree(folder, ignore_errors=True)


def _place(header: Header) -> dict[str, Any]:
    return {key: header.parts.get(key) for key in (RANK, "world", "position")} | {"epoch": header.epoch}


def _ranks(count: int) -> str:
    return "one process" if count == 1 else f"{count} ranks"


def _names(directory: Path) -> Iterator[str]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        yield from [entry.name for entry in directory.iterdir()]
