"""The datasets of a run: looked at before the start, by the job, and again when it ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from repro_hydra.config import DataConf
from repro_hydra.data import StatCache, capture_data, changed_meanwhile, find_project, register_data
from repro_hydra.data.capture import add_dataset
from repro_hydra.data.errors import DataError
from repro_hydra.record.data import DataRecord
from repro_hydra.record.schema import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPlan:
    """The declared datasets as they lay there before the start."""

    options: DataConf = field(default_factory=DataConf)
    """A job of a sweep that declares others looks for itself."""
    record: DataRecord = field(default_factory=DataRecord)


def look_at_data(options: DataConf, cwd: Path) -> tuple[DataPlan, list[Finding]]:
    """The declared datasets, and what stands against starting with them. Creates nothing but a cache."""
    record, findings = capture_data(
        options.datasets or {},
        base=cwd,
        project=find_project(cwd),
        root=options.root,
        ignore=options.ignore,
        verify=options.verify and not options.auto_version,
        cache=StatCache(),
    )
    return DataPlan(options=options, record=record), findings


def register_new_data(plan: DataPlan, cwd: Path) -> tuple[DataPlan, list[Finding]]:
    """With ``data.auto_version``: write content that the registry does not know into it, once for a sweep."""
    if not plan.options.auto_version:
        return plan, []
    try:
        record = register_data(
            plan.record, base=cwd, project=find_project(cwd), root=plan.options.root, cache=StatCache()
        )
    except DataError as error:
        return plan, [Finding(id="data-not-registered", severity="may_change_bits", message=str(error))]
    return DataPlan(options=plan.options, record=record), []


class JobData:
    """The datasets of one job.

    Parameters
    ----------
    plan : DataPlan or None
        What the run's or the sweep's start found.
    options : DataConf
        The job's own.
    cwd : Path
        Where the run was started; relative paths are relative to it.
    """

    def __init__(self, plan: DataPlan | None, options: DataConf, cwd: Path) -> None:
        self._cwd = cwd
        self._root = options.root
        self.findings: list[Finding] = []
        if plan is None or plan.options != options:
            plan, self.findings = look_at_data(options, cwd)
        self.record: DataRecord = plan.record

    def declare(self, path: str | Path, name: str | None = None) -> Path:
        """Add what the task declares itself; the path comes back absolute.

        Raises
        ------
        DataError
            Nothing is there, or it can't be read.
        """
        self.record, place = add_dataset(
            self.record, path, name, base=self._cwd, project=find_project(self._cwd), cache=StatCache()
        )
        return place

    def changed(self) -> list[Finding]:
        """A finding for each dataset that is no longer what it was; costs a walk."""
        return changed_meanwhile(self.record, base=self._cwd, root=self._root, cache=StatCache())
