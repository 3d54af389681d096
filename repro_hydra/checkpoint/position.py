"""Where a loop stands, and when its next checkpoint is due."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Between two steps of a training loop."""

    step: int
    """Batches done in all (or rounds, where there are no batches)."""
    epoch: int
    """Of the epoch that is under way, or the next one."""
    loop: int | None = None
    """Which of the epoch's loops over batches is under way; None between two epochs."""
    batch: int = 0
    """How many of its batches are done."""

    def as_plain(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Position:
        return cls(**plain)

    def __str__(self) -> str:
        within = "" if self.loop is None else f", {self.batch} batches into it"
        return f"step {self.step}, epoch {self.epoch}{within}"


class Schedule:
    """Which step boundaries get a checkpoint.

    Parameters
    ----------
    every_epochs, every_steps : int, optional
        After so many; None for never.
    every_s : float, optional
        When so many seconds have passed since the last.
    clock : callable
        Gives seconds.
    """

    def __init__(
        self,
        *,
        every_epochs: int | None,
        every_steps: int | None,
        every_s: float | None,
        clock: Callable[[], float],
    ) -> None:
        for name, value in (
            ("every_epochs", every_epochs),
            ("every_steps", every_steps),
            ("every_s", every_s),
        ):
            if value is not None and value <= 0:
                raise ValueError(f"{name}: expected a number above 0, or None, found {value}")
        self._every_epochs = every_epochs
        self._every_steps = every_steps
        self._every_s = every_s
        self._clock = clock
        self._last_s = clock()

    def due(self, position: Position, *, epoch_ends: bool) -> bool:
        return self.due_by_count(position, epoch_ends=epoch_ends) or self.due_by_clock()

    def due_by_count(self, position: Position, *, epoch_ends: bool) -> bool:
        """By steps and epochs: the same on every rank."""
        if self._every_steps is not None and position.step % self._every_steps == 0:
            return True
        return epoch_ends and self._every_epochs is not None and position.epoch % self._every_epochs == 0

    def due_by_clock(self) -> bool:
        """By seconds: each process has its own."""
        return self._every_s is not None and self._clock() - self._last_s >= self._every_s

    def saved(self) -> None:
        self._last_s = self._clock()
