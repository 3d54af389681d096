"""The lines of ``metrics.jsonl`` as points, and which of them a tracker has from an earlier attempt at the run.

An attempt that goes on logs lines once more that the one before had logged, and perhaps sent: its own file lies in
``attempts/`` then, whole, and the run's begins with what both have in common.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from repro_hydra.record.paths import RunPaths
from repro_hydra.record.plain_file import open_plain
from repro_hydra.record.schema import JSON
from repro_hydra.record.tracking import SentBefore, TrackerState
from repro_hydra.record.values import from_json_number
from repro_hydra.tracking.protocol import Point
from repro_hydra.tracking.view import milliseconds

BATCH = 500
"""Lines a request: a few seconds of the busiest training, and less than any tracker's limit."""


def read_points(path: Path, begin: int) -> tuple[list[Point], int]:
    """At most `BATCH` whole lines from byte `begin` on, and where they end."""
    points: list[Point] = []
    try:
        if path.stat().st_size < begin:
            begin = 0  # nobody knows any more what was sent of it
        end = begin
        for line in _lines(path, begin):
            if not line.endswith(b"\n") or len(points) >= BATCH:
                break
            end += len(line)
            point = _point(line)
            if point is not None:
                points.append(point)
    except FileNotFoundError:
        return [], begin
    return points, end


def attempts_before(paths: RunPaths) -> int:
    """How many attempts at the run were interrupted."""
    try:
        return sum(entry.name.isdigit() for entry in paths.attempts.iterdir())
    except FileNotFoundError:
        return 0


def followed(state: TrackerState, paths: RunPaths) -> TrackerState:
    """`state`, in the lines of the run's attempt of now.

    What was sent of lines that it does not begin with was sent before: they may come once more.
    """
    now = attempts_before(paths)
    if now <= state.attempt:
        return state
    common = _common_bytes(_metrics_of(paths, state.attempt), paths.metrics)
    before = list(state.sent_before)
    if state.metrics_bytes > common:
        before.append(SentBefore(attempt=state.attempt, begin=common, end=state.metrics_bytes))
    return msgspec.structs.replace(
        state, attempt=now, metrics_bytes=min(state.metrics_bytes, common), sent_before=before, complete=False
    )


class Repeated:
    """What a tracker has of lines that the run no longer holds."""

    def __init__(self, before: Iterable[SentBefore], paths: RunPaths) -> None:
        self._values: set[tuple[int, str, str]] = set()
        for sent in before:
            with contextlib.suppress(FileNotFoundError):  # somebody has cleaned up: it may be sent twice
                self._remember(sent, _metrics_of(paths, sent.attempt))

    def _remember(self, sent: SentBefore, path: Path) -> None:
        end = sent.begin
        for line in _lines(path, sent.begin):
            end += len(line)
            if end > sent.end:
                break
            point = _point(line)
            if point is not None:
                self._values.update((point.step, name, repr(v)) for name, v in point.values.items())

    def without(self, points: list[Point]) -> list[Point]:
        """`points` without the values that the tracker has already, at the same step."""
        if not self._values:
            return points
        new = []
        for point in points:
            values = {n: v for n, v in point.values.items() if (point.step, n, repr(v)) not in self._values}
            if values:
                new.append(Point(step=point.step, time_ms=point.time_ms, values=values))
        return new


def _metrics_of(paths: RunPaths, attempt: int) -> Path:
    """The metrics of an attempt, from 0, that was interrupted: the next one has put them aside."""
    return paths.attempts / str(attempt + 1) / paths.metrics.name


def _common_bytes(before: Path, now: Path) -> int:
    """How much two files have in common, up to the end of a line."""
    common = 0
    try:
        for a, b in zip(_lines(before, 0), _lines(now, 0), strict=False):
            if a != b or not a.endswith(b"\n"):
                break
            common += len(a)
    except FileNotFoundError:
        return 0
    return common


def _lines(path: Path, begin: int) -> Iterator[bytes]:
    with open_plain(path) as stream:
        stream.seek(begin, os.SEEK_SET)
        yield from stream


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
