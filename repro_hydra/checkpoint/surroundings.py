"""What the run around a training loop adds to it: metrics and streams in a checkpoint, and who is told what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from repro_hydra.checkpoint.file import Header, Say
from repro_hydra.checkpoint.position import Position
from repro_hydra.checkpoint.shelf import Kept


class Saving(Protocol):
    """A place for checkpoints: `shelf.Shelf`, or one rank's `rank_sets.RankShelf`."""

    @property
    def directory(self) -> Any: ...

    def save(self, header: Header, payload: Any) -> Any: ...

    def drop_after(self, kept: Kept) -> None: ...


@dataclass(kw_only=True)
class Surroundings:
    """What a run adds to its loop, handed in: a plain script has none of it."""

    say: Say
    now: Callable[[], str]
    """The time, for the header."""
    take_parts: Callable[[], dict[str, Any]] = dict
    """What of the run's own (its metrics) belongs to a checkpoint."""
    take_streams: Callable[[], dict[str, Any]] = dict
    put_streams: Callable[[Mapping[str, Any]], None] = field(default=lambda _: None)
    """The named streams' states."""
    in_round: Callable[[bool], None] = field(default=lambda _: None)
    """Told that a round of the loop begins or ends."""
    restored: Callable[[Kept, Position], None] = field(default=lambda _kept, _position: None)
    """Told which checkpoint was put back, and where it stands."""
    continued: Callable[[], None] = field(default=lambda: None)
    """Told that from here on no line runs that ran before."""
    not_exact: Callable[[str, str], None] = field(default=lambda _kind, _message: None)
    """Told what a checkpoint cannot hold: a short name and a message."""

    def save(self, shelf: Saving, name: str, position: Position, take: Callable[[], dict[str, Any]]) -> bool:
        """Whether a checkpoint of what `take` gives could be written; where not it is said, and ends no training."""
        try:
            header = Header(
                name=name,
                step=position.step,
                epoch=position.epoch,
                saved_at=self.now(),
                parts=self.take_parts(),
            )
            shelf.save(header, take())
        except Exception as error:  # noqa: BLE001 (a full disk, a state that became none, whatever torch makes of them)
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self.say(
                f"{shelf.directory}: the checkpoint of {position} could not be written "
                f"({reason or type(error).__name__}); the training goes on"
            )
            return False
        return True
