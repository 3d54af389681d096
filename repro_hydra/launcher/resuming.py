"""Going on with a sweep: the jobs that failed, were lost or never ran, with the code that the sweep began with.

`repro-hydra resume` starts the sweep's own command again and says by a variable which jobs are meant. This door then
launches those, into the same directories and the same ``sweep.json``, from a copy of the code as it was.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext
from msgspec.structs import replace
from omegaconf import DictConfig

from repro_hydra.code.freeze import hold
from repro_hydra.code.frozen_tree import FrozenTree
from repro_hydra.config import ReproConf
from repro_hydra.launcher.door import SweepDoor
from repro_hydra.launcher.freezing import freeze_sweep, frozen_place
from repro_hydra.launcher.planning import Planner
from repro_hydra.launcher.sweep_ledger import SweepLedger
from repro_hydra.launcher.watched import SUBMITIT, WatchedLauncher, WatchedSweeper
from repro_hydra.program import NoProgram, Program
from repro_hydra.record.code import CodeRecord
from repro_hydra.record.paths import RunPaths, SweepPaths
from repro_hydra.record.schema import Finding, RunRecord, SweepJob, SweepRecord
from repro_hydra.record.store import RecordError, read
from repro_hydra.record.times import utc_now
from repro_hydra.session.findings import NOT_BEGUN, Misuse, Refused
from repro_hydra.session.plan import Plan, SweepPlace
from repro_hydra.session.say import say

VARIABLE = "REPRO_HYDRA_RESUME_SWEEP"
"""Names the file that tells the sweep's command which jobs are meant; taken out before the jobs start."""


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """What `repro-hydra resume` asks for."""

    sweep_dir: str
    numbers: list[int]
    resumed: int
    """How often the sweep had been gone on with when its jobs were looked at."""


def asked_again(environ: MutableMapping[str, str]) -> Again | None:
    """What this process was told to go on with, once; None for a sweep of its own.

    Raises
    ------
    Misuse
        The file is not what `repro-hydra resume` writes.
    """
    path = environ.pop(VARIABLE, None)
    if not path:
        return None
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=Again)
    except (OSError, msgspec.MsgspecError) as error:
        raise Misuse(f"{VARIABLE}={path}: expected what `repro-hydra resume` wrote, found {error}") from None


def code_of(sweep_dir: Path) -> CodeRecord | None:
    """The code that the sweep began with; None where it was not captured.

    Raises
    ------
    Misuse
        The sweep's record cannot be read.
    """
    file = SweepPaths(sweep_dir).code
    try:
        return read(file, CodeRecord) if file.exists() else None
    except RecordError as error:
        raise Misuse(str(error)) from None


class ResumeDoor(SweepDoor):
    """The door of a sweep that goes on: under its own id, with the command and the record that it began with.

    Parameters
    ----------
    plan : Plan
        As for a sweep that begins, with the recorded code.

    Raises
    ------
    Misuse
        The sweep's record cannot be read.
    """

    _instead_of_a_second = (
        "Two processes cannot go on with the same sweep: wait until that one has ended, or end it"
    )

    def __init__(self, again: Again, plan: Plan, *, config: DictConfig, program: Program | NoProgram) -> None:
        assert plan.sweep is not None
        try:
            before = read(SweepPaths(Path(again.sweep_dir)).sweep, SweepRecord)
        except RecordError as error:
            raise Misuse(str(error)) from None
        place = replace(plan.sweep, sweep_id=before.sweep_id)
        plan = replace(plan, argv=before.argv, cwd=before.cwd, entry=before.entry, sweep=place)
        record = msgspec.structs.replace(
            before,
            ended_at=None,
            detached=not plan.options.wait,
            host=place.host,
            pid=place.pid,
            pid_started_at=place.pid_started_at,
            resumed=[*before.resumed, {"at": utc_now(), "jobs": again.numbers, "argv": before.argv}],
        )
        super().__init__(plan, record, config=config, program=program, code_files={})
        self._numbers = again.numbers
        self._resumed_before = again.resumed

    def _open_ledger(self, record: SweepRecord) -> SweepLedger:
        return _ResumedLedger(self._paths, record, on_slurm=self._on_slurm, check_writer=self._lock.check)

    def _look_at_what_is_there(self) -> None:
        """Another one, who was faster, may have submitted the same jobs, and have let the lock go since."""
        now = read(self._paths.sweep, SweepRecord)
        if len(now.resumed) != self._resumed_before:
            raise Misuse(
                f"{self._paths.sweep_dir}: expected the sweep as it was when its jobs were looked at, found that "
                f"another process went on with it at {now.resumed[-1].get('at')}. Look again: repro-hydra resume "
                f"{self._paths.sweep_dir}"
            )

    def _finish(self) -> None:
        """As `SweepDoor`, with what became of jobs that this process was not there for."""
        if isinstance(self.ledger, _ResumedLedger):
            self.ledger.note_records()
        super()._finish()

    def undo(self) -> None:
        """Nothing was made for the sweep: it was there before."""

    def _hold_code(self, context: HydraContext) -> None:
        """As `SweepDoor`; refused, in every mode, where what would run is not known to be what the sweep began with.

        Raises
        ------
        Refused
        """
        super()._hold_code(context)
        plan = self._plan
        known = plan.code is not None and plan.code.tree is not None
        if known and self._isolates and plan.frozen is None and plan.code_at_start is None:
            raise Refused([_code_gone(plan.code, self._paths)], "the sweep cannot be gone on with", NOT_BEGUN)

    def _instantiate_sweeper(self, **arguments: Any) -> Any:
        sweeper: WatchedSweeper = super()._instantiate_sweeper(**arguments)
        sweeper.inner = _Chosen(sweeper.inner, self, self._jobs_again())
        return sweeper

    def _jobs_again(self) -> list[SweepJob]:
        return [job for job in self.ledger.record.jobs if job.num in self._numbers]

    def _freeze(self, code: CodeRecord, sweep: SweepPlace) -> FrozenTree:
        """The copy of the code: the one that is there still, for jobs that go on, or one made from the snapshot."""
        assert code.repository is not None
        folder = frozen_place(self._options.code.freeze_dir) / sweep.sweep_id
        if not folder.is_dir():
            return freeze_sweep(code, self._options.code, sweep)
        top = os.path.realpath(code.repository)
        real = os.path.realpath(folder)
        frozen = FrozenTree(folder=real, tree=str(Path(real, Path(top).name or "code")), top=top)
        hold(frozen, environ=os.environ)
        return frozen

    def _planner(self) -> Planner:
        return Planner(self._options, self._start, self._plan, in_use=True)


def _code_gone(code: CodeRecord | None, paths: SweepPaths) -> Finding:
    where = "" if code is None else f" (tree {code.tree}, in {code.repository})"
    return Finding(
        id="sweep-code-gone",
        severity="blocks",
        message=(
            f"{paths.sweep_dir}: expected the code that the sweep began with{where}, found neither its copy nor its "
            "snapshot, so that another code would run under its name. Bring the snapshot back (git fetch from where it "
            "was kept), or start the sweep again"
        ),
    )


class _ResumedLedger(SweepLedger):
    """The record that is there already; its jobs are planned once more, under their numbers."""

    def note_records(self) -> None:
        """What became of jobs that nobody waited for: those that went on while this process was not there.

        Else they would seem to go on for ever, and the sweep with them.
        """
        self.save(jobs=[self._as_recorded(job) for job in self.record.jobs])

    def _as_recorded(self, job: SweepJob) -> SweepJob:
        if job.status != "planned" or job.dir is None:
            return job
        try:
            run = read(RunPaths(self.paths.sweep_dir / job.dir).run, RunRecord)
        except RecordError:
            return job  # it has not begun
        mine = run.sweep is not None and run.sweep.id == self.record.sweep_id and run.sweep.job_num == job.num
        if not mine or run.status != "completed":
            return job  # what failed may be queued again
        return msgspec.structs.replace(job, status="completed")

    def begin(self, code: CodeRecord | None, code_files: Mapping[str, bytes], options: ReproConf) -> None:
        self.paths.queue.mkdir(mode=0o700, exist_ok=True)

    def _with(self, jobs: Sequence[SweepJob]) -> list[SweepJob]:
        planned = {job.num: job for job in jobs}
        return [planned.get(job.num, job) for job in self.record.jobs]


class _Chosen:
    """In place of the sweeper: launches the jobs that are meant, each under its own number."""

    def __init__(self, sweeper: Any, door: ResumeDoor, jobs: list[SweepJob]) -> None:
        self._launcher: WatchedLauncher = sweeper.launcher
        self._door = door
        self._jobs = jobs

    def sweep(self, _arguments: list[str]) -> list[JobReturn]:
        """Launch them; a launcher numbers its jobs by itself, so those with numbers in a row go together."""
        launcher = self._launcher
        overrides = {job.num: list(job.overrides) for job in self._jobs}
        numbers = sorted(overrides)
        launcher.plan([overrides[number] for number in numbers], numbers)
        runs = [
            [number for _, number in group]
            for _, group in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])
        ]
        submitted = [self._launch(launcher, run, overrides) for run in runs]
        results: list[JobReturn] = []
        for run, (given, wait) in zip(runs, submitted, strict=True):
            ended = given if wait is None or not self._door.waits else wait()
            self._door.ledger.note_results(ended, run)
            results += ended
        failed = [one for one in results if one.status is JobStatus.FAILED]
        for one in failed:
            say(f"{' '.join(one.overrides or [])}: {type(one._return_value).__name__}: {one._return_value}")
        if failed:
            raise SystemExit(1)
        return results

    def _launch(
        self, launcher: WatchedLauncher, run: list[int], overrides: dict[int, list[str]]
    ) -> tuple[list[JobReturn], Any]:
        """Hand over the jobs of `run`; what they gave, and for jobs of a cluster how to wait for that."""
        batch = [overrides[number] for number in run]
        submissions = launcher.submissions(batch, run, wait=False)
        with submissions.watched():
            given = list(launcher.inner.launch(batch, initial_job_idx=run[0]))
        return given, submissions.wait_for_all if launcher.uses(SUBMITIT) else None
