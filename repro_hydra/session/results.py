"""What a task tells of its work: metrics while it runs, results, and what it returns.

``result.json`` is made of them; each line of metrics goes to ``metrics.jsonl`` at once (`metrics`).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import msgspec

from repro_hydra.record.schema import JSON, Finding
from repro_hydra.record.store import write_json
from repro_hydra.record.values import flatten_result
from repro_hydra.session.attempt import Attempt
from repro_hydra.session.joblog import JobLog
from repro_hydra.session.ledger import Ledger
from repro_hydra.session.metrics import MetricsLog


class JobResults:
    """The metrics and results of one job, over all attempts at it.

    Attributes
    ----------
    returned : object
        What the task returned.
    """

    def __init__(self, ledger: Ledger, attempt: Attempt) -> None:
        self._ledger = ledger
        self._attempt = attempt
        self._metrics: MetricsLog | None = None
        self._log: JobLog | None = None
        self._given: dict[str, JSON] = {}
        self.returned: Any = None

    def begin(self, stack: ExitStack, log: JobLog | None) -> None:
        """Go on with what the attempt before had logged, and take what is logged from now on.

        Parameters
        ----------
        log : JobLog or None
            Told of each line of metrics too, where it logs steps.
        """
        self._given = self._attempt.given
        self._log = log if log is not None and log.logs_steps else None
        paths = self._ledger.paths
        if paths is not None:
            self._metrics = MetricsLog(paths.metrics, self._ledger.check_writer, self._attempt.metrics)
            stack.callback(self._metrics.close)

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Write one line of ``metrics.jsonl``, unless that very line stands there from the attempt before.

        Raises
        ------
        ValueError
            As `MetricsLog.log` does.
        """
        if self._metrics is None or self._attempt.repeating:
            return
        try:
            number = self._metrics.log(metrics, step)
        except OSError as error:  # a full disk ends no training; the run is told that lines are missing
            self._ledger.failed("metrics", error, once=True)
            return
        if self._log is not None:
            told = {f"metric.{name}": value for name, value in metrics.items()}
            self._log.step("metrics", {"step": number, **told})

    def log_taken(self, metrics: Mapping[str, Any], step: Any) -> None:
        """The same for what the task gave to a logger of its own: nothing that is wrong with it ends the task."""
        try:
            self.log_metrics(metrics, None if step is None else int(step))
        except (TypeError, ValueError, OverflowError) as error:
            self._ledger.failed("taken-metrics", error, once=True)

    def log_result(self, result: Mapping[str, Any]) -> None:
        """Remember results, which stand beside what the task returns.

        Raises
        ------
        ValueError
            For a value that ``result.json`` cannot hold.
        """
        values, left_out = flatten_result(result)
        if left_out:
            raise ValueError(f"log_result: {'; '.join(left_out)}")
        self._given |= values

    def parts_for_checkpoint(self) -> dict[str, JSON]:
        """What of the record belongs to a checkpoint: the metrics so far, and the results given."""
        parts: dict[str, JSON] = {"given": dict(self._given)}
        if self._metrics is not None:
            parts["metrics"] = msgspec.to_builtins(self._metrics.so_far())
        return parts

    def write(self) -> None:
        """Write ``result.json``; where nothing was returned or given, the last metrics are the result."""
        values, left_out = flatten_result(self.returned)
        if not values:
            values = dict(self._given) if self._given else dict(self._metrics.last if self._metrics else {})
        elif self._given:
            values = values | self._given
        for reason in left_out:
            self._ledger.findings.append(
                Finding(id=f"result-left-out:{reason.split(':')[0]}", severity="harmless", message=reason)
            )
        if self._ledger.paths is not None:
            write_json(self._ledger.paths.result, values, durable=True)
