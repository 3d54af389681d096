"""A sweep's own record, ``sweep.json``, while the sweep lasts: what is planned, submitted, and what became of it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from hydra.core.utils import JobReturn, JobStatus

from repro_hydra.config import ReproConf
from repro_hydra.launcher.returns import Submitted
from repro_hydra.launcher.spec import JobDied, JobNotStarted
from repro_hydra.launcher.submitted import RankFailed
from repro_hydra.record.code import CodeRecord
from repro_hydra.record.paths import RunPaths, SweepPaths
from repro_hydra.record.schema import ErrorInfo, Finding, RunRecord, SweepJob, SweepRecord
from repro_hydra.record.store import RecordError, read, update, write_json
from repro_hydra.record.times import utc_now
from repro_hydra.record.vouch import user_key, vouch_sweep
from repro_hydra.session import capture
from repro_hydra.session.code import KeptCode
from repro_hydra.session.say import say


class SweepLedger:
    """Keeps the record of one sweep, on disk and in memory alike.

    Parameters
    ----------
    on_slurm : bool
        The jobs' numbers are Slurm's, so that they can be asked after without this process.
    check_writer : callable
        Called before each write; ends the process where the sweep directory has another owner by now.
    """

    def __init__(
        self, paths: SweepPaths, record: SweepRecord, *, on_slurm: bool, check_writer: Callable[[], None]
    ) -> None:
        self.paths = paths
        self.record = record
        self._on_slurm = on_slurm
        self._check_writer = check_writer

    # ------------------------------------------------------------------ before the jobs

    def begin(self, code: CodeRecord | None, code_files: Mapping[str, bytes], options: ReproConf) -> None:
        """Make the sweep's record, before its first job; an earlier sweep's is put aside."""
        if self.record.jobs:
            return
        self._check_writer()
        if self.paths.sweep.exists():
            self._put_earlier_aside()
        self.paths.record.mkdir(parents=True, exist_ok=True)
        if code is not None:
            write_json(self.paths.code, code)
        KeptCode(code, code_files).write_files(self.paths.record)
        try:
            capture.write_shared_environment(self.paths, capture.environment_of_this_process(options))
        except (OSError, ValueError) as error:
            say(f"the list of packages could not be shared ({error}); each job keeps its own")

    def plan(self, jobs: Sequence[SweepJob]) -> None:
        """These jobs are about to start."""
        self.save(jobs=self._with(jobs))
        self.save(vouch=vouch_sweep(self.paths, self.record, user_key(os.environ)))

    def add_findings(self, findings: Sequence[Finding]) -> None:
        """In memory: where the sweep is refused, no record of it is left."""
        self.record = msgspec.structs.replace(self.record, findings=[*self.record.findings, *findings])

    def _with(self, jobs: Sequence[SweepJob]) -> list[SweepJob]:
        """All jobs of the sweep, with `jobs` planned now."""
        return [*self.record.jobs, *jobs]

    def _put_earlier_aside(self) -> None:
        self.paths.earlier.mkdir(exist_ok=True)
        target = self.paths.earlier / uuid.uuid4().hex[:12]
        queue = self.paths.queue
        kept = queue.rename(self.paths.sweep_dir / f".queue-{target.name}") if queue.exists() else None
        self.paths.record.rename(target)
        self.paths.record.mkdir()
        if kept is not None:
            kept.rename(queue)
        say(f"an earlier sweep's record was put aside: {target}")

    # ------------------------------------------------------------------ what becomes of them

    def note_submitted(self, ids: Sequence[str], numbers: Sequence[int]) -> None:
        """Keep what the cluster calls the jobs, so that they can be asked after without this process."""
        names = dict(zip(numbers, ids, strict=True))
        jobs = [
            msgspec.structs.replace(job, job_id=names[job.num]) if job.num in names else job
            for job in self.record.jobs
        ]
        arrays = [*self.record.slurm_job_ids, *(name.partition("_")[0] for name in ids)]
        self.save(jobs=jobs, slurm_job_ids=list(dict.fromkeys(arrays)) if self._on_slurm else [])

    def note_results(self, results: Sequence[JobReturn], numbers: Sequence[int]) -> None:
        """What became of a batch's jobs."""
        ended: dict[int, JobReturn] = dict(zip(numbers, results, strict=False))
        jobs = []
        for job in self.record.jobs:
            result = ended.get(job.num)
            if result is not None and not isinstance(result._return_value, (JobNotStarted, Submitted)):
                completed = result.status is JobStatus.COMPLETED
                job = msgspec.structs.replace(job, status="completed" if completed else "failed")
                self._finish_dead(job, result)
            jobs.append(job)
        self.save(jobs=jobs)

    def _finish_dead(self, job: SweepJob, result: JobReturn) -> None:
        """A job that was killed could not write its own end."""
        error = result._return_value
        if not isinstance(error, (JobDied, RankFailed)) or job.dir is None:
            return
        path = RunPaths(self.paths.sweep_dir / job.dir).run
        try:
            run = read(path, RunRecord)
            if run.status in ("created", "running") or isinstance(error, RankFailed):
                info = ErrorInfo(type=type(error).__name__, message=str(error))
                update(path, {"status": "failed", "error": info, "ended_at": utc_now(), "upheld": "no"})
        except (RecordError, OSError) as problem:
            say(f"job {job.num}: its end could not be recorded ({problem})")

    @property
    def jobs_go_on(self) -> bool:
        """Whether jobs on the cluster outlive this process."""
        return self._on_slurm and any(
            job.job_id is not None and job.status == "planned" for job in self.record.jobs
        )

    def save(self, **changes: Any) -> None:
        """Change fields of the record, and write it."""
        self._check_writer()
        self.record = msgspec.structs.replace(self.record, **changes)
        write_json(self.paths.sweep, self.record, durable=True)
