"""What a user sees of a job that failed: the lines of their own code.

Hydra cuts its own frames off a traceback, and knows where by the frame of its `run_job`. Ours stand behind that one.
And of a job that ran in another process there is no traceback: an exception leaves it behind when it travels, and
Hydra then prints its own frames, and none of the user's. The job's record has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra.core.utils import JobReturn
from hydra.errors import CompactHydraException

from repro_hydra.launcher.spec import JobDied, JobExited, JobNotStarted, RemoteTraceback, in_words
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.schema import RunRecord, SweepJob
from repro_hydra.record.store import RecordError, read
from repro_hydra.session.users_frames import full_errors, leave_out_our_frames

_WITHOUT_TRACEBACK = (JobDied, JobExited, JobNotStarted)


class SweepJobFailed(CompactHydraException):
    """A job of a sweep failed. Hydra prints its text, and leaves out where in Hydra it was raised."""


class FailedJobs:
    """Knows of each error that a job of the sweep ended with which job that was."""

    def __init__(self) -> None:
        self._errors: list[tuple[BaseException, int]] = []

    def note(self, results: Sequence[JobReturn], numbers: Sequence[int]) -> None:
        """A batch has ended."""
        for result, number in zip(results, numbers, strict=False):
            if isinstance(result._return_value, BaseException):
                leave_out_our_frames(result._return_value)
                self._errors.append((result._return_value, number))

    def as_shown(self, error: Exception, jobs: Sequence[SweepJob], sweep_dir: Path) -> Exception:
        """What Hydra is to be told in place of `error`, with which the sweeper ended; often that one itself.

        Parameters
        ----------
        error : Exception
            A job's own, where the sweeper handed it on.
        jobs, sweep_dir
            Of the sweep, to find the job's record.
        """
        number = next((number for known, number in self._errors if known is error), None)
        if number is None or isinstance(error, CompactHydraException):
            return error  # a sweeper's own, or one that Hydra tells without a traceback
        if isinstance(error, _WITHOUT_TRACEBACK):
            return error if full_errors() else SweepJobFailed(f"job #{number}: {in_words(error)}")
        if _was_seen_in_run_job(error):
            return error
        text = _in_its_record(next(job for job in jobs if job.num == number), sweep_dir)
        if full_errors():
            if text is not None and error.__cause__ is None:
                error.__cause__ = RemoteTraceback(text)
            return error
        return SweepJobFailed(text if text is not None else f"job #{number}: {in_words(error)}")


def _was_seen_in_run_job(error: BaseException) -> bool:
    """Whether the job ran in this process, so that Hydra finds by itself where the user's frames begin."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_name == "run_job":
            return True
        trace = trace.tb_next
    return False


def _in_its_record(job: SweepJob, sweep_dir: Path) -> str | None:
    if job.dir is None:
        return None  # only the cluster knows where
    try:
        run = read(RunPaths(sweep_dir / job.dir).run, RunRecord)
    except (RecordError, OSError):
        return None  # it did not come to a record, which has been told
    return None if run.error is None or not run.error.traceback else run.error.traceback.rstrip()
