"""The jobs of one launch, each in a process of its own: started as slots become free, and what they give collected."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from omegaconf import DictConfig

from repro_hydra.code.freeze import FreezeError
from repro_hydra.composed import env_set
from repro_hydra.determinism.interpreter import READ_AT_LIBRARY_LOAD
from repro_hydra.launcher.pool import CleanProcess, Ended, JobPool
from repro_hydra.launcher.returns import failed_return
from repro_hydra.launcher.spec import (
    JobDied,
    JobNotStarted,
    JobSpec,
    describe_exit,
    in_words,
    read_outcome,
    write_spec,
)
from repro_hydra.launcher.task import JobStart
from repro_hydra.session.ending import terminating

log = logging.getLogger("repro_hydra.launcher")


@dataclass
class Job:
    """One of them, and what became of it."""

    number: int
    overrides: list[str]
    config: DictConfig
    slot: int = -1
    started: float = 0.0
    outcome: JobReturn | None = None

    def label(self) -> str:
        words = " ".join(filter_overrides(self.overrides))
        return f"#{self.number}" + (f" : {words}" if words else "")


class Starts(Protocol):
    """What a batch asks of its launcher."""

    def how_to_start(self) -> JobStart: ...
    def spec_for(self, job: Job, environ: dict[str, str]) -> JobSpec: ...
    def clean_process(self) -> CleanProcess | None: ...
    @property
    def stop_at_failure(self) -> bool: ...


class Batch:
    """The jobs of one `launch`: starts them as slots become free, and collects what they give."""

    def __init__(
        self, launcher: Starts, jobs: list[Job], slots: list[list[str] | None], folder: Path
    ) -> None:
        self._launcher = launcher
        self._jobs = jobs
        self._slots = slots
        self._folder = folder
        self._pool = JobPool(launcher.clean_process(), fixed_addresses=bool(launcher.how_to_start().required))
        self._running: dict[int, Job] = {}
        self._done = 0
        self._failed = 0

    def run(self) -> None:
        waiting = list(reversed(self._jobs))
        free = list(reversed(range(len(self._slots))))
        with self._stopping_on_signals():
            while waiting or self._running:
                while waiting and free and not (self._failed and self._launcher.stop_at_failure):
                    job, slot = waiting.pop(), free.pop()
                    if not self._begin(job, slot):
                        free.append(slot)
                if not self._running:
                    break
                ended = self._pool.next_end()
                job = self._running.pop(ended.number)
                free.append(job.slot)
                self._finish(job, ended)
        for job in waiting:
            text = "not started: an earlier job failed, and hydra.launcher.stop_at_failure is on"
            job.outcome = failed_return(job.config, JobNotStarted(f"job {job.label()} was {text}"))

    def _begin(self, job: Job, slot: int) -> bool:
        """Start `job`; False where its code cannot be had any more, and it has failed by that."""
        job.slot, job.started = slot, time.monotonic()
        environ = self._environment(job, self._slots[slot])
        spec_path, outcome_path = self._files(job)
        log.info("\t%s", job.label())
        try:
            write_spec(spec_path, self._launcher.spec_for(job, environ))
        except FreezeError as error:
            self._note(job, failed_return(job.config, error))
            return False
        self._running[job.number] = job
        self._pool.start(job.number, spec_path, outcome_path, environ, fork=self._may_fork(environ))
        return True

    def _environment(self, job: Job, gpus: list[str] | None) -> dict[str, str]:
        """The job's environment from its interpreter's start: ours, the user's ``job.env_set``, its GPUs."""
        environ = {**os.environ, **env_set(job.config)}
        environ |= self._launcher.how_to_start().required_for(job.config)
        if gpus is not None:
            environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
        return environ

    def _may_fork(self, environ: dict[str, str]) -> bool:
        """Not where a variable differs that was read when the clean process loaded its libraries."""
        clean = self._launcher.clean_process()
        if clean is None:
            return False
        names = {*environ, *clean.environ}
        return not any(
            name.startswith(READ_AT_LIBRARY_LOAD) and environ.get(name) != clean.environ.get(name)
            for name in names
        )

    def _finish(self, job: Job, ended: Ended) -> None:
        _, outcome_path = self._files(job)
        try:
            outcome = read_outcome(outcome_path)
        except FileNotFoundError:
            outcome = failed_return(job.config, JobDied(f"job {job.label()} {describe_exit(ended.code)}"))
        except BaseException as error:  # noqa: BLE001 (SystemExit in a job is that job's failure, not the sweep's)
            outcome = failed_return(job.config, error)
        assert isinstance(outcome, JobReturn)
        self._note(job, outcome)

    def _note(self, job: Job, outcome: JobReturn) -> None:
        job.outcome = outcome
        self._done += 1
        took = time.monotonic() - job.started
        total = len(self._jobs)
        if outcome.status is JobStatus.COMPLETED:
            log.info("\t%s done in %.1f s (%d of %d)", job.label(), took, self._done, total)
        else:
            self._failed += 1
            reason = outcome._return_value
            log.error("\t%s FAILED after %.1f s (%d of %d): %s", job.label(), took, self._done, total,
                      in_words(reason))  # fmt: skip

    def _files(self, job: Job) -> tuple[Path, Path]:
        return self._folder / f"{job.number}.spec", self._folder / f"{job.number}.outcome"

    @contextlib.contextmanager
    def _stopping_on_signals(self) -> Iterator[None]:
        """Let no job outlive the sweep: SIGTERM and SIGINT are passed on, and waited for."""
        with terminating():
            try:
                yield
            except KeyboardInterrupt:
                self._pool.stop_all(signal.SIGINT)
                raise
            except BaseException:
                self._pool.stop_all(signal.SIGTERM)
                raise
