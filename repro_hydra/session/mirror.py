"""The trackers of one run: what is recorded is sent to them, and what the task sends them is recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from repro_hydra.imports import LateImports
from repro_hydra.session.ledger import Ledger
from repro_hydra.session.say import say
from repro_hydra.tracking.taken import TakenMetrics

if TYPE_CHECKING:
    from repro_hydra.tracking.beside import TrackersBeside


class Mirror:
    """Begun with the run, finished after its manifest is made."""

    def __init__(self, ledger: Ledger, log: Callable[[Mapping[str, Any], Any], None]) -> None:
        self._ledger = ledger
        self._log = log
        self._beside: TrackersBeside | None = None

    def begin(self, late: LateImports, stack: ExitStack) -> None:
        """Start the trackers' process, and wrap what the task may log by."""
        options, run_dir = self._ledger.plan.options, self._ledger.job.run_dir
        if self._ledger.paths is None:
            return
        if options.take_metrics:
            taken = TakenMetrics(self._log)
            self._ledger.keep("take_metrics", lambda: taken.install(late.when_imported))
            stack.callback(taken.remove)
        if options.tracking:
            try:
                from repro_hydra.tracking.beside import TrackersBeside  # which few runs need

                self._beside = TrackersBeside(run_dir, options.tracking, self._ledger.plan.cwd)
            except Exception as error:  # noqa: BLE001 (no tracker costs a run)
                say(f"the trackers were not started: {error}. Run: repro-hydra track sync {run_dir}")

    def finish(self, *, hurry: bool) -> None:
        """Wait for what is not sent yet, and say what is left."""
        if self._beside is None:
            return
        try:
            for line in self._beside.finish(hurry=hurry):
                say(line)
        except Exception as error:  # noqa: BLE001 (the task has its result, and the record is closed)
            say(
                f"what the trackers have is not known: {error}. "
                f"Run: repro-hydra track sync {self._ledger.job.run_dir}"
            )
