"""``data.json``: the datasets of a job, and what it read beside them.

Written at the start, with each dataset that the task declares itself, and when the task has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from repro_hydra.record.data import DataRecord
from repro_hydra.record.store import write_json
from repro_hydra.session.datasets import JobData
from repro_hydra.session.ledger import Ledger


class DataFile:
    """The data part of one run's record. What it finds goes into the run's ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._data: JobData | None = (
            None  # also where the record could not be written, or the data not looked at
        )

    def begin(self) -> None:
        """Look at the declared datasets, or hold them against what the sweep was submitted with."""
        plan = self._ledger.plan
        self._data = JobData(plan.data, plan.options.data, Path(plan.cwd))
        self._ledger.findings += self._data.findings
        self._write(self._data.record)

    def declare(self, path: str | Path, name: str | None) -> Path:
        """Add what the task declares itself; the path comes back absolute.

        Raises
        ------
        DataError
            Nothing is there, or it can't be read.
        """
        data = self._data
        if data is None:  # strict would not have begun
            return Path(self._ledger.plan.cwd) / Path(path).expanduser()
        place = data.declare(path, name)
        self._ledger.keep("data", lambda: self._write(data.record))
        return place

    def finish(self, add_inputs: Callable[[DataRecord], DataRecord]) -> None:
        """See what changed while the job ran, and write what it read.

        Parameters
        ----------
        add_inputs : callable
            Adds to a record what was read without having been declared.
        """
        data, ledger = self._data, self._ledger
        if data is None:
            return
        ledger.findings += ledger.keep("data", data.changed) or []

        def write() -> None:
            data.record = add_inputs(data.record)
            self._write(data.record)

        ledger.keep("inputs", write)

    def _write(self, record: DataRecord) -> None:
        if self._ledger.paths is not None:
            write_json(self._ledger.paths.data, record)
