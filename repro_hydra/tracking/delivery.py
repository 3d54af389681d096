"""Brings one tracker up to date with one run's record: once, or again and again while the run goes on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from repro_hydra.record.paths import RunPaths
from repro_hydra.record.redact import redact, redact_text
from repro_hydra.record.schema import JSON
from repro_hydra.record.store import RecordError, read, write_json
from repro_hydra.record.tracking import TrackerState
from repro_hydra.record.values import from_json_number
from repro_hydra.tracking.find import find_tracker
from repro_hydra.tracking.protocol import Point, Tracker
from repro_hydra.tracking.view import RunView, milliseconds

BATCH = 500
"""Lines a request: a few seconds of the busiest training, and less than any tracker's limit."""


def read_state(paths: RunPaths, name: str) -> TrackerState | None:
    """How far tracker `name` got with this run; None where it never began."""
    try:
        return read(paths.tracking / f"{name}.json", TrackerState)
    except RecordError:
        return None


class Delivery:
    """One tracker and one run.

    Every method may raise what the tracker's library raises; what was acknowledged until then is not lost, and a
    new call goes on from there.

    Parameters
    ----------
    run_dir : Path
        The run's directory.
    name : str
        The tracker's.
    options : mapping, optional
        As configured; those recorded when it began, where left out.
    make : callable
        Makes the tracker from its name and options.
    """

    def __init__(
        self,
        run_dir: Path,
        name: str,
        options: Mapping[str, Any] | None = None,
        make: Callable[[str, Mapping[str, Any]], Tracker] = find_tracker,
    ) -> None:
        self.name = name
        self.paths = RunPaths(run_dir)
        self._make = make
        known = read_state(self.paths, name)
        self._options = dict(options if options is not None else known.options if known else {})
        kept = redact(msgspec.to_builtins(self._options))
        assert isinstance(kept, dict)
        self.state = msgspec.structs.replace(known or TrackerState(tracker=name), options=kept)
        self._tracker: Tracker | None = None

    def note(self) -> None:
        """Keep the options, with which `track sync` goes on though nothing was ever sent."""
        self._keep()

    def open(self) -> None:
        """Make or find the run at the tracker; nothing where that was done."""
        if self._tracker is not None:
            return
        tracker = self._make(self.name, self._options)
        self._tracker = tracker
        try:
            opened = tracker.open(RunView(self.paths.run_dir), self.state.remote_id)
        except BaseException:
            self._abandon()
            raise
        self._keep(
            remote_id=opened.remote_id,
            remote_url=opened.url,
            metrics_bytes=self.state.metrics_bytes if opened.goes_on else 0,
        )

    def send_metrics(self) -> bool:
        """Send the next lines of ``metrics.jsonl``; False where there is none that is whole."""
        self.open()
        assert self._tracker is not None
        points, end = _read_points(self.paths.metrics, self.state.metrics_bytes)
        if end == self.state.metrics_bytes:
            return False
        if points:
            self._tracker.send(points)
        self._keep(metrics_bytes=end, last_error=None)
        return True

    def finish(self) -> None:
        """Send the rest, and what is known at the end."""
        while self.send_metrics():
            pass
        assert self._tracker is not None
        self._tracker.close(RunView(self.paths.run_dir))
        self._keep(complete=True, last_error=None)

    def failed(self, error: BaseException) -> None:
        """Note an error, and start from `open` the next time."""
        self._abandon()
        self._keep(last_error=redact_text(f"{type(error).__name__}: {error}")[:2000])

    def _abandon(self) -> None:
        tracker, self._tracker = self._tracker, None
        abandon = getattr(tracker, "abandon", None)
        if abandon is not None:
            with contextlib.suppress(Exception):  # it has failed already, and is let go of
                abandon()

    def _keep(self, **changes: Any) -> None:
        self.state = msgspec.structs.replace(self.state, **changes)
        self.paths.tracking.mkdir(exist_ok=True)
        write_json(self.paths.tracking / f"{self.name}.json", self.state)


def deliver(
    run_dir: Path,
    name: str,
    options: Mapping[str, Any] | None = None,
    make: Callable[[str, Mapping[str, Any]], Tracker] = find_tracker,
) -> TrackerState:
    """Send all that tracker `name` lacks of a run that has ended; nothing where it lacks nothing.

    Raises
    ------
    Exception
        Whatever the tracker's library raises; what was sent before stays sent, and is not sent again.
    """
    delivery = Delivery(run_dir, name, options, make)
    if delivery.state.complete:
        return delivery.state
    try:
        delivery.finish()
    except BaseException as error:
        delivery.failed(error)
        raise
    return delivery.state


def _read_points(path: Path, begin: int) -> tuple[list[Point], int]:
    """At most `BATCH` whole lines from byte `begin` on, and where they end."""
    points: list[Point] = []
    try:
        with path.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            if stream.tell() < begin:
                begin = 0  # an earlier attempt's file was put aside
            stream.seek(begin)
            end = begin
            for line in stream:
                if not line.endswith(b"\n") or len(points) >= BATCH:
                    break
                end += len(line)
                point = _point(line)
                if point is not None:
                    points.append(point)
    except FileNotFoundError:
        return [], begin
    return points, end


def _point(line: bytes) -> Point | None:
    try:
        raw: dict[str, JSON] = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError:
        return None  # half a line that a killed job left
    step, time = raw.pop("step", 0), raw.pop("time", None)
    values = {name: from_json_number(value) for name, value in raw.items()}
    numbers = {name: number for name, number in values.items() if number is not None}
    if not numbers or not isinstance(step, int):
        return None
    return Point(step=step, time_ms=milliseconds(time if isinstance(time, str) else None), values=numbers)
