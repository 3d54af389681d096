"""What is done between two steps: a checkpoint, the end, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from repro_hydra.checkpoint import preemption
from repro_hydra.checkpoint.position import Position, Schedule


@dataclass(frozen=True, slots=True)
class Verdict:
    """For one boundary."""

    save: bool
    ends: str | None = None
    """Who asked for the end: a signal's name, or what `preemption.request` was given."""


class Boundaries(Protocol):
    """Decides at each boundary."""

    def at(self, position: Position, *, last: bool, epoch_ends: bool) -> Verdict:
        """What is to be done here."""

    def saved(self) -> None:
        """A checkpoint was written."""

    def before_the_end(self) -> str | None:
        """The last checkpoint is written and the process is about to end: what there is to say of it."""


class Alone:
    """A loop in one process: its own clock and its own signals count."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule

    def at(self, position: Position, *, last: bool, epoch_ends: bool) -> Verdict:
        asked = preemption.requested()
        due = asked is not None or last or self._schedule.due(position, epoch_ends=epoch_ends)
        return Verdict(due, asked)

    def saved(self) -> None:
        self._schedule.saved()

    def before_the_end(self) -> str | None:
        return None
