"""Jobs handed to submitit: their ids noted at once, and their ends collected one by one.

By itself the plugin collects with ``[job.results()[0] for job in jobs]``: the first job that was lost ends the sweep,
the results of the others are thrown away, and of several ranks only the first one's error is seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig

from repro_hydra.launcher import slurm
from repro_hydra.launcher.batch_script import MEANINGS
from repro_hydra.launcher.returns import failed_return, submitted_return
from repro_hydra.launcher.spec import JobDied
from repro_hydra.session.say import say

_LOOK_EVERY_S = 0.3
_ASK_FIRST_S, _ASK_AT_MOST_S, _ASK_GROWS = 2.0, 30.0, 1.3
_SURE_AFTER = 2
"""Answers in a row that must say a job is over while its result is not there: a file system may lag behind."""


class RankFailed(RuntimeError):
    """A rank other than the first failed, so its job did."""


class Submissions:
    """What submitit is given for one batch of jobs.

    Parameters
    ----------
    config_of : callable
        The config of the batch's n-th job.
    note : callable
        Told the ids of the jobs as soon as they are submitted.
    wait : bool
        False gives stand-ins back at once instead of waiting for the jobs.
    applies : bool
        Whether the launcher uses submitit at all.
    """

    def __init__(
        self,
        config_of: Callable[[int], DictConfig],
        note: Callable[[list[str]], None],
        *,
        wait: bool,
        applies: bool = True,
    ) -> None:
        self._config_of = config_of
        self._note = note
        self._wait = wait
        self._applies = applies
        self._jobs: list[Any] = []
        self._states: dict[str, slurm.JobState] = {}
        self._asked_at = float("-inf")
        self._pause_s = _ASK_FIRST_S
        self._over: dict[str, int] = {}
        self._ids: list[str] = []
        self._unreachable = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Meanwhile submitit's executors hand their jobs to this object."""
        if not self._applies:
            yield
            return
        import submitit as imported  # late: not everybody who sweeps uses it

        submissions = self
        submitit: Any = imported
        original: Any = submitit.AutoExecutor

        class Executor(original):  # type: ignore[misc]
            def map_array(self, *arguments: Any) -> list[Any]:
                return submissions.taken(super().map_array(*arguments))

        submitit.AutoExecutor = Executor
        try:
            yield
        finally:
            submitit.AutoExecutor = original

    def taken(self, jobs: Sequence[Any]) -> list[_Collected]:
        """The jobs as the plugin is to see them."""
        self._jobs = list(jobs)
        self._ids = [str(job.job_id) for job in jobs]
        self._note(self._ids)
        return [_Collected(job, number, self) for number, job in enumerate(jobs)]

    def wait_for_all(self) -> list[JobReturn]:
        """What became of the jobs, for which stand-ins were given at first."""
        self._wait = True
        return [self.collect(job, number) for number, job in enumerate(self._jobs)]

    # ------------------------------------------------------------------ what became of one job

    def collect(self, job: Any, number: int) -> JobReturn:
        """Wait for a job's end; never raises for what became of it."""
        if not self._wait:
            return submitted_return(self._config_of(number), str(job.job_id))
        lost = self._wait_for(job) if _is_slurm(job) else None
        if lost is not None:
            return failed_return(self._config_of(number), lost)
        returned: list[JobReturn] = []
        for rank in range(job.num_tasks):
            try:
                returned.append(job.task(rank).results()[0])
            except Exception as error:  # noqa: BLE001 (submitit's own errors hold the remote traceback as text)
                return failed_return(self._config_of(number), JobDied(f"job {job.job_id}: {error}"))
        for rank, one in enumerate(returned):
            if rank and one.status is JobStatus.FAILED:
                raised = one._return_value
                reason = RankFailed(f"rank {rank}: {type(raised).__name__}: {raised}")
                reason.__cause__ = raised if isinstance(raised, BaseException) else None
                return failed_return(self._config_of(number), reason)
        return returned[0]

    def _wait_for(self, job: Any) -> JobDied | None:
        """None once the job's results lie there; why there are none, when Slurm says that it is over."""
        while not _has_results(job):
            state = self._state_of(job)
            if state is not None and not _has_results(job):
                return JobDied(f"Slurm job {job.job_id}: {_describe(state)}{_last_words(job)}")
            time.sleep(_LOOK_EVERY_S)
        return None

    def _state_of(self, job: Any) -> slurm.JobState | None:
        """The job's state if it is surely over."""
        identity = str(job.job_id)
        if time.monotonic() - self._asked_at >= self._pause_s:
            self._ask()
        if self._over.get(identity, 0) < _SURE_AFTER:
            return None
        return self._states.get(identity, slurm.JobState(state="unknown to Slurm"))

    def _ask(self) -> None:
        try:
            self._states = slurm.job_states(self._ids)
        except slurm.SlurmUnreachable as error:
            if not self._unreachable:
                say(f"Slurm does not answer, waiting on: {error}")
            self._unreachable = True
        else:
            self._unreachable = False
            for identity in self._ids:
                state = self._states.get(identity)
                over = state is None or state.is_over
                self._over[identity] = self._over.get(identity, 0) + 1 if over else 0
        if not any(0 < count < _SURE_AFTER for count in self._over.values()):
            self._pause_s = min(self._pause_s * _ASK_GROWS, _ASK_AT_MOST_S)
        self._asked_at = time.monotonic()


class _Collected:
    """One job as the plugin collects it."""

    def __init__(self, job: Any, number: int, submissions: Submissions) -> None:
        self._job = job
        self._number = number
        self._submissions = submissions

    def results(self) -> list[JobReturn]:
        return [self._submissions.collect(self._job, self._number)]


def _is_slurm(job: Any) -> bool:
    return type(job).__name__ == "SlurmJob"


def _has_results(job: Any) -> bool:
    return all(Path(job.task(rank).paths.result_pickle).exists() for rank in range(job.num_tasks))


def _describe(state: slurm.JobState) -> str:
    meaning = MEANINGS.get(state.exit_code or 0)
    return f"{state}" + (f" ({meaning})" if meaning else "")


def _last_words(job: Any) -> str:
    """What the job's log says of it, where there is one."""
    log = Path(job.paths.stderr)
    try:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return f". No log at {log}: does the node see that directory?"
    ours = [line for line in lines if line.startswith("repro: ")]
    last = (ours or lines)[-1:]
    return f"; log {log}" + (f", which ends: {last[0]}" if last else "")
