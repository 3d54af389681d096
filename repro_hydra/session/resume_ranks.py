"""`resumable` in one of several ranks: where they meet, which set they go on from, and what decides for all of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from repro_hydra.checkpoint.agreement import Agreement, first_promise
from repro_hydra.checkpoint.errors import CheckpointError
from repro_hydra.checkpoint.file import read_header
from repro_hydra.checkpoint.position import Schedule
from repro_hydra.checkpoint.rank_entry import Beginning, Entry, Process
from repro_hydra.checkpoint.rank_sets import (
    RankShelf,
    clean,
    highest_number,
    newest_set,
    refuse_other_world,
    sets_in,
)
from repro_hydra.checkpoint.ranks import Together
from repro_hydra.checkpoint.shelf import Kept
from repro_hydra.record.status import process_is_alive
from repro_hydra.session import process
from repro_hydra.session.say import say

FOLDER = ".together"
"""Beside the checkpoints: what the ranks tell each other."""
_open: list[str] = []


@dataclass(frozen=True, slots=True)
class Joined:
    """What a rank brings from the entry."""

    shelf: RankShelf
    boundaries: Together
    kept: Kept | None
    """Its own part of the set that all go on from."""


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Sets are numbered from a loop's entry on, so two loops must not be under way together.

    Raises
    ------
    CheckpointError
        They would be.
    """
    if _open:
        raise CheckpointError(
            f"resumable: expected one loop at a time in a run of several ranks, found {name} within {_open[-1]}. "
            "Hand both their objects to one: repro_hydra.resumable(generator, discriminator, …)"
        )
    _open.append(name)
    try:
        yield
    finally:
        _open.remove(name)


def join(place: Path, name: str, rank: int, world: int, schedule: Schedule, *, keep: int) -> Joined:
    """Meet the other ranks at the entry of loop `name`.

    Raises
    ------
    CheckpointError
        They do not come, rank 0 refuses, or the checkpoints there are of another number of ranks.
    """
    entry = Entry(place / FOLDER / name, rank, world, say=say)
    try:
        told = (
            entry.lead(_this_process(), lambda: _begin(entry, place, name, world))
            if rank == 0
            else entry.follow()
        )
    except OSError as error:
        raise CheckpointError(
            f"{place}: the ranks cannot tell each other there when to stop ({error.strerror or error})"
        ) from error
    agreement = Agreement(entry.together, rank, say=say, alive=_looks_alive(entry.rank_zero))
    shelf = RankShelf(
        place, name, rank=rank, world=world, attempt=entry.attempt, number=told.number, keep=keep
    )
    return Joined(shelf, Together(schedule, agreement, shelf), _own_part(place, told, rank, world))


def _begin(entry: Entry, place: Path, name: str, world: int) -> Beginning:
    """Rank 0, when all are there."""
    clean(place)
    refuse_other_world(place, name, world)
    found = newest_set(place, name, world, say)
    first_promise(entry.together)
    return Beginning(
        number=highest_number(place),
        folder=None if found is None else found[0].folder.name,
    )


def _this_process() -> Process:
    return Process(host=process.host(), pid=os.getpid(), started_at=process.started_at())


def _looks_alive(rank_zero: Process | None) -> Callable[[], bool]:
    def alive() -> bool:
        if rank_zero is None or rank_zero.host != process.host():
            return True  # nobody can tell from here
        return process_is_alive(rank_zero.pid, rank_zero.started_at)

    return alive


def _own_part(place: Path, told: Beginning, rank: int, world: int) -> Kept | None:
    if told.folder is None:
        return None
    found = next((one for one in sets_in(place) if one.folder.name == told.folder), None)
    if found is None:
        raise CheckpointError(f"{place / told.folder}: expected the set that rank 0 goes on from, found none")
    part = found.part(rank, world)
    return Kept(part, found.number, read_header(part))
