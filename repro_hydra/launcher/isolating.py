"""``hydra/launcher=repro``: a process for each job, `n_jobs` at a time, a crash of one never the end of the others."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from repro_hydra.arguments import job_argv
from repro_hydra.composed import set_value
from repro_hydra.launcher.anew import task_id, to_execute
from repro_hydra.launcher.batch import Batch, Job
from repro_hydra.launcher.pickling import dumps
from repro_hydra.launcher.pool import CleanProcess, can_fork, libraries_to_preload
from repro_hydra.launcher.slots import gpus_here, share_gpus
from repro_hydra.launcher.spec import JobSpec
from repro_hydra.launcher.task import JobStart, RecordedTask
from repro_hydra.launcher.work import HydraWork
from repro_hydra.program import describe_program, started_in
from repro_hydra.session.say import say
from repro_hydra.temporary import TemporaryFolder

log = logging.getLogger("repro_hydra.launcher")


class IsolatingLauncher(Launcher):
    """Runs each job of a sweep in a process of its own.

    Parameters
    ----------
    n_jobs : int
        Jobs at a time.
    start : str
        ``auto`` forks a clean process that has imported the heavy libraries, where that is safe; ``fresh``
        starts an interpreter for each job.
    gpus_per_job : int
        GPUs that a job sees; 0 leaves CUDA_VISIBLE_DEVICES as it is.
    gpus : list of str, optional
        The GPUs to share out; by default those that this process sees.
    stop_at_failure : bool
        Start no further job once one has failed.
    """

    def __init__(
        self,
        *,
        n_jobs: int = 1,
        start: Any = "auto",
        gpus_per_job: int = 0,
        gpus: Sequence[str] | None = None,
        stop_at_failure: bool = False,
    ) -> None:
        self._n_jobs = n_jobs
        self._start = getattr(start, "name", start)
        self._gpus_per_job = gpus_per_job
        self._gpus = None if gpus is None else [str(gpu) for gpu in gpus]
        self._stop_at_failure = stop_at_failure
        self.job_start: JobStart | None = None
        """Set by the sweep's door; without one the launcher finds out itself."""
        self._clean: CleanProcess | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take over what Hydra hands to every launcher."""
        self._context = hydra_context
        self._task = task_function
        self._config = config
        try:
            self._slots = self._make_slots()
        except ValueError as error:  # Hydra would show it with a traceback
            say(str(error))
            raise SystemExit(2) from None

    def _make_slots(self) -> list[list[str] | None]:
        if self._n_jobs < 1:
            raise ValueError(f"hydra.launcher.n_jobs: expected at least 1, found {self._n_jobs}")
        if self._gpus_per_job < 0:
            raise ValueError(f"hydra.launcher.gpus_per_job: expected 0 or more, found {self._gpus_per_job}")
        gpus = (self._gpus or gpus_here(os.environ)) if self._gpus_per_job else []
        return share_gpus(gpus, self._n_jobs, self._gpus_per_job)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs, and return one `JobReturn` for each, in their order."""
        setup_globals()
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)
        self.clean_process()  # imports its libraries while the jobs are composed here
        Path(str(self._config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        jobs = [
            Job(
                number=initial_job_idx + index,
                overrides=list(overrides),
                config=self._compose(list(overrides), initial_job_idx + index),
            )
            for index, overrides in enumerate(job_overrides)
        ]
        log.info("Launching %d jobs, %d at a time, each in a process of its own", len(jobs), self._n_jobs)
        with TemporaryFolder("sweep") as folder:
            Batch(self, jobs, self._slots, folder).run()
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)
        return [job.outcome for job in jobs if job.outcome is not None]

    def close(self) -> None:
        """End the clean process, when no batch is to come."""
        if self._clean is not None:
            self._clean.close()
            self._clean = None

    def _compose(self, overrides: list[str], number: int) -> DictConfig:
        config = self._context.config_loader.load_sweep_config(self._config, overrides)
        set_value(config, "hydra.job.id", str(number))
        set_value(config, "hydra.job.num", number)
        return config

    # What a batch asks of its launcher.

    def how_to_start(self) -> JobStart:
        if self.job_start is None:
            self.job_start = JobStart(to_execute(describe_program()), list(sys.argv), {})
        return self.job_start

    def spec_for(self, job: Job, environ: dict[str, str]) -> JobSpec:
        start = self.how_to_start()
        program = start.program
        task: Any = self._task
        if program is not None:
            task = task.with_task(None) if isinstance(task, RecordedTask) else None
        identity = self._task.identity if isinstance(self._task, RecordedTask) else task_id(self._task)
        plan = self._task.plan if isinstance(self._task, RecordedTask) else None
        work = HydraWork(
            hydra_context=self._context,
            config=job.config,
            task=task,
            singletons=Singleton.get_state() if program is None else None,
        )
        return JobSpec(
            program=program,
            task=identity,
            argv=job_argv(start.argv, job.overrides, list(job.config.hydra.overrides.hydra)),
            cwd=program.cwd if program is not None else started_in(),
            environ=environ,
            work=dumps(work, main_by_reference=program is not None),
            frozen=start.hold_code(),
            code_at_start=None if plan is None else plan.code_at_start,
        )

    def clean_process(self) -> CleanProcess | None:
        """The zygote, started at the first job that may be forked."""
        if self._start == "fresh" or not can_fork():
            return None
        if self._clean is None:
            environ = {**os.environ, **self.how_to_start().required}
            plan = self._task.plan if isinstance(self._task, RecordedTask) else None
            variables = plan.options.environment.variables if plan is not None else []
            self._clean = CleanProcess(
                environ,
                libraries_to_preload(sys.modules),
                variables,
                fixed_addresses=bool(self.how_to_start().required),
            )
        return self._clean

    @property
    def stop_at_failure(self) -> bool:
        return self._stop_at_failure
