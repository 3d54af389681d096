"""Starts the sender beside a job, and ends with it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from repro_hydra.record.paths import RunPaths
from repro_hydra.tracking.delivery import Busy, Delivery, is_complete, read_state, sole_sender
from repro_hydra.tracking.sender import Order, waited_s

_GRACE_S = 5.0
_HURRY_S = 2.0
_IMPORTANT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "WANDB_SILENT": "true",
}
"""We try again ourselves, and nothing of a tracker's belongs into the job's output. The user's own values stay."""
_FROM_ENVIRONMENT = {"mlflow": {"uri": "MLFLOW_TRACKING_URI"}}
"""Options that a tracker's library would take from there: kept, since `track sync` may run in another shell."""


class TrackersBeside:
    """The sender of one run.

    Parameters
    ----------
    run_dir : Path
        The run's directory; its record is there already.
    trackers : mapping
        Options by tracker.
    cwd : str
        Where relative paths in the options begin: where the run was started.

    Raises
    ------
    ValueError
        For a ``wait_s`` that is none.
    """

    def __init__(self, run_dir: Path, trackers: Mapping[str, Mapping[str, Any]], cwd: str) -> None:
        self._run_dir = run_dir
        self._trackers = {name: _settled(name, options or {}) for name, options in trackers.items()}
        self._wait_s = max(waited_s(name, options) for name, options in self._trackers.items())
        for name, options in self._trackers.items():
            # Where the one beside an earlier attempt still sends, ours notes it when it has come to its end.
            with contextlib.suppress(Busy), sole_sender(RunPaths(run_dir), name):
                Delivery(run_dir, name, options).note()
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith("REPRO_HYDRA_RUN_")
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "repro_hydra.tracking.sender"],
            cwd=cwd,
            env={**_IMPORTANT, **environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        order = Order(run_dir=str(run_dir), trackers=self._trackers)
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        self._process.stdin.flush()

    def finish(self, *, hurry: bool = False) -> list[str]:
        """Wait for the sender; for each tracker that is not complete, a line that says so.

        Parameters
        ----------
        hurry : bool
            The job was told to end: leave the sender, which ends by itself, to its work.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died; what it sent stands in its state
            self._process.stdin.close()
        try:
            self._process.wait(_HURRY_S if hurry else self._wait_s + _GRACE_S)
        except subprocess.TimeoutExpired:
            if not hurry:
                self._process.kill()
                self._process.wait()
        return [line for name in self._trackers if (line := self._what_is_missing(name))]

    def _what_is_missing(self, name: str) -> str | None:
        paths = RunPaths(self._run_dir)
        state = read_state(paths, name)
        if is_complete(paths, state):
            return None
        reason = f" ({state.last_error.splitlines()[0]})" if state is not None and state.last_error else ""
        return f"{name}: not everything was sent{reason}. Run: repro-hydra track sync {self._run_dir}"


def _settled(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    settled = dict(options)
    for option, variable in _FROM_ENVIRONMENT.get(name, {}).items():
        if settled.get(option) is None and os.environ.get(variable):
            settled[option] = os.environ[variable]
    return settled
