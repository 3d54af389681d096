"""What a tracker is: three methods. ``docs/trackers.md`` has an example of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from repro_hydra.tracking.view import RunView


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One logged line."""

    step: int
    time_ms: int
    """Milliseconds since the epoch."""
    values: dict[str, float]
    """Metric by name; NaN and infinities included."""


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the tracker has it."""

    remote_id: str
    goes_on: bool = False
    """True: what was acknowledged before is there. False: the tracker wants every point, from the first."""
    url: str | None = None


class Tracker(Protocol):
    """One destination. Made anew, with the user's options, in each process that sends.

    Any method may raise anything: after a pause that grows, another instance begins again with `open`. An instance
    that has a method `abandon()` is told by it that it is not used any more.
    """

    def open(self, run: RunView, remote_id: str | None) -> Opened:
        """Make the run at the tracker, or find it again: by `remote_id`, else by `run.run.run_id`."""

    def send(self, points: Sequence[Point]) -> None:
        """Send these; when it returns, they are there."""

    def close(self, run: RunView) -> None:
        """Send what is known at the end: status, result, the record's files."""


class TrackerFactory(Protocol):
    """What an entry point in the group ``repro_hydra.trackers`` names: a class, or a function."""

    def __call__(self, options: Mapping[str, Any]) -> Tracker: ...
