"""``metrics.jsonl``: one line a logged step, written as it happens."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from repro_hydra.record.schema import JSON
from repro_hydra.record.store import take_back
from repro_hydra.record.values import as_number, number_to_json

RESERVED = ("step", "time")
FRESH_S = 0.2
"""How long a line relies on a look at the writer's lock before an earlier one; far less than its lease."""
# Looked up once, for `MetricsLog.log`, where each look-up counts.
_encode, _write, _clock = msgspec.json.Encoder().encode, os.write, time.time
_DIGITS = [f"{number:03d}" for number in range(1000)]


class MetricsSoFar(msgspec.Struct, frozen=True, kw_only=True):
    """How far ``metrics.jsonl`` was written at some moment."""

    size_bytes: int
    next_step: int
    last: dict[str, JSON] = {}


class MetricsLog:
    """Appends metrics to a file; each line is one write, so a killed job leaves whole lines, and all that it logged.

    Parameters
    ----------
    before_write : callable, optional
        Called before the first line in each `fresh_s`: it does not return where this process may write no more.
    so_far : MetricsSoFar, optional
        Where an earlier attempt's checkpoint left the file, which ends there.
    fresh_s : float
        `FRESH_S`, another in tests.
    """

    def __init__(
        self,
        path: Path,
        before_write: Callable[[], None] = lambda: None,
        so_far: MetricsSoFar | None = None,
        *,
        fresh_s: float = FRESH_S,
    ) -> None:
        self._path = path
        self._before_write = before_write
        self._fresh_s, self._looked_at = fresh_s, -math.inf
        self._lock = threading.Lock()
        self._handle: int | None = None
        self._next_step = 0 if so_far is None else so_far.next_step
        self._second, self._second_text = -1, ""
        self.last: dict[str, JSON] = {} if so_far is None else dict(so_far.last)
        path.touch()

    def so_far(self) -> MetricsSoFar:
        """How much was logged until now: what a checkpoint remembers, and counts on being on the disk."""
        with self._lock:
            if self._handle is not None:
                os.fsync(self._handle)
            return MetricsSoFar(
                size_bytes=self._path.stat().st_size, next_step=self._next_step, last=dict(self.last)
            )

    def log(self, metrics: Mapping[str, Any], step: int | None = None) -> int:
        """Write one line.

        Parameters
        ----------
        metrics : mapping of str to number
            Python, NumPy or torch scalars; NaN and infinities are written by name.
        step : int, optional
            Counted from the last one where left out.

        Returns
        -------
        int
            The line's step.

        Raises
        ------
        ValueError
            For a value that is no number, a metric named ``step`` or ``time``, or a step between two.
        OSError
            The line cannot be written; nothing of it is in the file.
        """
        # The training's own thread pays for what follows, with caches that a step has filled with other things: each
        # function that is called here costs microseconds then, whatever it costs in a loop of its own.
        values: Mapping[str, Any] = metrics
        if metrics.__class__ is dict and metrics.keys() <= self.last.keys():
            # Names that were looked at before: written as they are, unless a value is no plain number.
            for value in metrics.values():
                if value.__class__ is float:
                    if value * 0.0 == 0.0:  # neither NaN nor infinite
                        continue
                elif value.__class__ is int:
                    continue
                values = as_values(metrics)
                break
        else:
            values = as_values(metrics)
        with self._lock:
            number = self._next_step if step is None else int(step)
            if step is not None and number != step:
                raise ValueError(f"log_metrics: step: expected a whole number, found {step!r}")
            self._next_step = number + 1
            now = _clock()
            if not 0 <= now - self._looked_at < self._fresh_s:  # below 0: somebody has set the clock back
                self._before_write()
                self._looked_at = now
            second = int(now)
            if second != self._second:
                self._second = second
                self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            micros = int((now - second) * 1e6)
            at = f"{self._second_text}.{_DIGITS[micros // 1000]}{_DIGITS[micros % 1000]}Z"
            line = _encode({"step": number, "time": at, **values}) + b"\n"
            if self._handle is None:
                self._handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            written = _write(self._handle, line)
            if written != len(line):
                take_back(self._handle, written, self._path)
            self.last.update(values)
        return number

    def close(self) -> None:
        with self._lock:
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None


def as_values(metrics: Mapping[str, Any]) -> dict[str, JSON]:
    """The numbers of one line as JSON has them.

    Raises
    ------
    ValueError
        For a value that is no number, or a metric named ``step`` or ``time``.
    """
    values: dict[str, JSON] = {}
    for name, value in metrics.items():
        if name in RESERVED:
            raise ValueError(f"log_metrics: {name!r} is a column of its own; choose another name")
        found = as_number(value)
        if found is None:
            raise ValueError(f"log_metrics: {name}: expected a number, found {type(value).__name__}")
        values[str(name)] = number_to_json(found)
    return values
