"""The datasets of a run: looked at before the start, by the job, and again when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec.structs import replace

from repro_hydra.config import DataConf, JobVerify
from repro_hydra.data import (
    Options,
    StatCache,
    capture_data,
    changed_meanwhile,
    dataset_path,
    describe_dataset,
    find_project,
    register_data,
)
from repro_hydra.data.capture import add_dataset, changed_finding
from repro_hydra.data.errors import DataError
from repro_hydra.data.pin import Pin, difference_in_sample, pin, unchanged_stat
from repro_hydra.record.data import DataRecord, DatasetRecord
from repro_hydra.record.schema import Finding
from repro_hydra.session.say import say


class DataPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The declared datasets as they lay there before the start."""

    options: DataConf = msgspec.field(default_factory=DataConf)
    record: DataRecord = msgspec.field(default_factory=DataRecord)
    pins: dict[str, Pin] = msgspec.field(default_factory=dict)
    """By a dataset's name, what the jobs of a sweep hold it against; empty for a single run."""
    others: list[DataPlan] = msgspec.field(default_factory=list)
    """Of jobs that declare other datasets: added while the sweep plans its jobs."""

    def of(self, options: DataConf) -> DataPlan | None:
        """What was found for these options; None where nobody looked."""
        return next((plan for plan in (self, *self.others) if plan.options == options), None)


class Telling:
    """Says now and then how far the hashing is: a start that takes minutes must not look like one that hangs."""

    FIRST_S = 3.0
    EVERY_S = 15.0

    def __init__(
        self, tell: Callable[[str], None] = say, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tell = tell
        self._clock = clock
        self._next = clock() + self.FIRST_S

    def __call__(self, done: int, total: int | None) -> None:
        if self._clock() < self._next or done == total:
            return
        self._next = self._clock() + self.EVERY_S
        of = "" if total is None else f" of {total / 2**30:.1f}"
        self._tell(
            f"hashing the declared datasets, {done / 2**30:.1f}{of} GiB so far; an unchanged one is not read again"
        )


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
        progress=Telling(),
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
    return replace(plan, record=record), []


def pin_data(plan: DataPlan, cwd: Path) -> tuple[DataPlan, list[Finding]]:
    """What the jobs of a sweep compare, instead of hashing each dataset again."""
    pins, findings = {}, []
    for dataset in plan.record.datasets:
        path = dataset_path(dataset.path, cwd, plan.options.root)
        try:
            pins[dataset.name] = pin(path, _options_of(dataset), dataset.digest)
        except DataError as error:
            findings.append(changed_finding(dataset, str(error)))
    return replace(plan, pins=pins), findings


def plan_for_job(plan: DataPlan, options: DataConf, cwd: Path) -> list[Finding]:
    """Look, when a sweep is submitted, at the datasets of a job that declares others than the sweep does."""
    if plan.of(options) is not None:
        return []
    other, findings = look_at_data(options, cwd)
    other, unregistered = register_new_data(other, cwd)
    other, changed = pin_data(other, cwd)
    plan.others.append(other)
    return [*findings, *unregistered, *changed]


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
        self._options = options
        self.findings: list[Finding] = []
        found = None if plan is None else plan.of(options)
        if found is None:
            found, self.findings = look_at_data(options, cwd)
        self.record: DataRecord = found.record
        self._pins = found.pins
        if self._pins:
            self.record = msgspec.structs.replace(self.record, verified=options.job_verify.value)
            self.findings += self._since_submission()

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
        rest = [dataset for dataset in self.record.datasets if not self._is_as_pinned(dataset)]
        record = msgspec.structs.replace(self.record, datasets=rest)
        return changed_meanwhile(record, base=self._cwd, root=self._options.root, cache=StatCache())

    def _is_as_pinned(self, dataset: DatasetRecord) -> bool:
        pinned = self._pins.get(dataset.name)
        try:
            return pinned is not None and unchanged_stat(self._path(dataset), _options_of(dataset), pinned)
        except DataError:
            return False  # who reads it now will say why

    def _since_submission(self) -> list[Finding]:
        findings = []
        for dataset in self.record.datasets:
            try:
                difference = self._difference(dataset)
            except DataError as error:
                difference = str(error)
            if difference is not None:
                findings.append(_changed_since_submission(dataset, difference))
        return findings

    def _difference(self, dataset: DatasetRecord) -> str | None:
        """What differs from what the sweep was submitted with; None where nothing does."""
        path, options = self._path(dataset), _options_of(dataset)
        method, pinned = self._options.job_verify, self._pins.get(dataset.name)
        if pinned is not None and method is JobVerify.stat and unchanged_stat(path, options, pinned):
            return None
        if pinned is not None and method is JobVerify.sample:
            return difference_in_sample(path, options, pinned)
        found = describe_dataset(
            dataset.name,
            path,
            ignore=dataset.ignore,
            executable=dataset.executable,
            cache=StatCache(),
            paranoid=method is JobVerify.full,
            take_over=dataset.system is not None,
        )
        return None if found.digest == dataset.digest else f"found {found.version}"

    def _path(self, dataset: DatasetRecord) -> Path:
        return dataset_path(dataset.path, self._cwd, self._options.root)


def _options_of(dataset: DatasetRecord) -> Options:
    return Options(tuple(dataset.ignore), dataset.executable)


def _changed_since_submission(dataset: DatasetRecord, difference: str) -> Finding:
    return Finding(
        id=f"data-changed:{dataset.name}",
        severity="blocks",
        message=(
            f"{dataset.path}: expected {dataset.version}, as when the sweep was submitted; {difference}. Get the "
            "data back and run: repro-hydra resume SWEEP, or submit the sweep again"
        ),
        file=dataset.path,
    )
