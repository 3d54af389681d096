"""A job's structured log beside Hydra's text log, and the steps of its life in both.

One line of JSON a record: ``time, level, logger, message``, ``exception`` where there is one, ``data`` for what a step
of ours has to say. Without ``time`` two runs' logs can be compared line by line.
"""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from repro_hydra.config import LogFormat, LoggingConf
from repro_hydra.record.redact import redact, redact_text
from repro_hydra.record.times import format_utc
from repro_hydra.record.values import to_json

LOGGER = "repro_hydra.run"
SUFFIX = ".log.jsonl"
_DATA = "repro_hydra_data"
_TIME = "[%(asctime)s]"


class JobLog:
    """The log of one job, for the length of a ``with`` block.

    Parameters
    ----------
    options : LoggingConf
        ``hydra.callbacks.repro.logging``.
    run_dir : Path
        Where the file is written.
    name : str
        The job's name, as of Hydra's ``NAME.log``.

    Raises
    ------
    OSError
        On entry: the file cannot be written.
    """

    def __init__(self, options: LoggingConf, run_dir: Path, name: str) -> None:
        self._options = options
        self._file = run_dir / f"{name}{SUFFIX}"
        self._stack = ExitStack()
        self._logger = logging.getLogger(LOGGER)

    def __enter__(self) -> JobLog:
        root = logging.getLogger()
        if self._options.level is not None:
            self._stack.callback(root.setLevel, root.level)
            root.setLevel(self._options.level.value)
        if not self._options.timestamps:
            self._leave_out_times(root)
        if self._options.format is LogFormat.json:
            handler = JsonLines(self._file, timestamps=self._options.timestamps)
            root.addHandler(handler)
            self._stack.callback(handler.close)
            self._stack.callback(root.removeHandler, handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def logs_steps(self) -> bool:
        """Whether `step` does anything."""
        return self._options.steps

    def step(self, what: str, data: Mapping[str, Any]) -> None:
        """Log a step of the job's life; nothing where ``logging.steps`` is off."""
        if self._options.steps:
            told = " ".join(f"{name}={value}" for name, value in data.items())
            self._logger.info("%s: %s", what, told, extra={_DATA: data})

    def _leave_out_times(self, root: logging.Logger) -> None:
        for handler in root.handlers:
            formatter = handler.formatter
            written = getattr(formatter, "_fmt", None) or ""
            if (
                type(formatter) is logging.Formatter and _TIME in written
            ):  # one of the user's own class is theirs
                self._stack.callback(handler.setFormatter, formatter)
                handler.setFormatter(logging.Formatter(written.replace(_TIME, ""), formatter.datefmt))


class JsonLines(logging.Handler):
    """Appends each record as a line, in one write: forked workers share the file with their parent."""

    def __init__(self, path: Path, *, timestamps: bool = True) -> None:
        super().__init__()
        self._timestamps = timestamps
        self._handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def emit(self, record: logging.LogRecord) -> None:
        """Write `record`; what fails is left to `logging`, which never stops a program."""
        try:
            os.write(self._handle, msgspec.json.encode(self._line(record)) + b"\n")
        except Exception:  # noqa: BLE001 (as every handler of the standard library does)
            self.handleError(record)

    def close(self) -> None:
        """Close the file."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        super().close()

    def _line(self, record: logging.LogRecord) -> dict[str, Any]:
        line: dict[str, Any] = {
            "level": record.levelname,
            "logger": record.name,
            "message": redact_text(record.getMessage()),
        }
        if self._timestamps:
            line = {"time": format_utc(datetime.fromtimestamp(record.created, timezone.utc)), **line}
        data: Mapping[str, Any] | None = getattr(record, _DATA, None)
        if data:
            line["data"] = redact(to_json(dict(data)))
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = redact_text("".join(traceback.format_exception(*record.exc_info)))
        return line
