"""``metrics.jsonl``: one line a logged step, written as it happens."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec

from repro_hydra.record.schema import JSON
from repro_hydra.record.store import write_bytes
from repro_hydra.record.values import as_number, number_to_json

RESERVED = ("step", "time")


class MetricsSoFar(msgspec.Struct, frozen=True, kw_only=True):
    """How far ``metrics.jsonl`` was written at some moment."""

    size_bytes: int
    next_step: int
    last: dict[str, JSON] = {}


def cut_metrics(path: Path, so_far: MetricsSoFar) -> None:
    """Take away the lines that were logged after `so_far`: they will be logged once more.

    Raises
    ------
    OSError
        Also where the file is shorter than it was then.
    """
    data = path.read_bytes()
    if len(data) < so_far.size_bytes:
        raise OSError(
            f"{path}: expected at least {so_far.size_bytes} bytes, found {len(data)}: lines are missing"
        )
    if len(data) > so_far.size_bytes:
        write_bytes(path, data[: so_far.size_bytes], durable=True)


class MetricsLog:
    """Appends metrics to a file; each line is one write, so a killed job leaves whole lines.

    Parameters
    ----------
    before_write : callable, optional
        Called before each line: it does not return where this process may write no more.
    so_far : MetricsSoFar, optional
        Where an earlier attempt's checkpoint left the file, which ends there.
    """

    def __init__(
        self,
        path: Path,
        before_write: Callable[[], None] = lambda: None,
        so_far: MetricsSoFar | None = None,
    ) -> None:
        self._path = path
        self._before_write = before_write
        self._lock = threading.Lock()
        self._handle: int | None = None
        self._next_step = 0 if so_far is None else so_far.next_step
        self.last: dict[str, JSON] = {} if so_far is None else dict(so_far.last)
        path.touch()

    def so_far(self) -> MetricsSoFar:
        """How much was logged until now: what a checkpoint remembers."""
        with self._lock:
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
        with self._lock:
            number = self._next_step if step is None else int(step)
            self._next_step = number + 1
            # The encoder writes a time itself, in a third of what `utc_now` takes.
            now = datetime.now(timezone.utc)
            line = msgspec.json.encode({"step": number, "time": now, **values}) + b"\n"
            if self._handle is None:
                self._handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            self._before_write()
            os.write(self._handle, line)
            self.last.update(values)
        return number

    def close(self) -> None:
        with self._lock:
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None
