"""A job below another launcher's worker: in a process of its own, or in the worker where that is one already."""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from msgspec.structs import replace
from omegaconf import DictConfig, OmegaConf

from repro_hydra.checkpoint.preemption import Preempted
from repro_hydra.launcher.hosts import host_findings, this_host
from repro_hydra.launcher.in_place import is_the_jobs_own, run_in_this_process
from repro_hydra.launcher.last_out import note_end
from repro_hydra.launcher.preemption import requeued_when_taken_back
from repro_hydra.launcher.returns import how_it_left
from repro_hydra.launcher.spec import JobExited
from repro_hydra.launcher.task import JobStart, RecordedTask
from repro_hydra.launcher.worker import run_in_own_process
from repro_hydra.session.ending import Terminated


class IsolatedTask:
    """What the workers of another launcher (joblib, submitit) run: it starts the job's own process.

    Called by Hydra's `run_job` in the worker, with the job's directory, logging and variables in place.
    """

    def __init__(self, recorded: RecordedTask, start: JobStart) -> None:
        self.recorded = recorded
        self.start = start

    def __call__(self, config: DictConfig) -> Any:
        hydra: Any = HydraConfig.get()
        num = OmegaConf.select(hydra, "job.num", throw_on_missing=False)
        try:
            value = self._run(config)
        except (Terminated, Preempted):
            raise  # this worker itself is to end: its job may be queued again
        except BaseException:
            self._ended(num)
            raise
        self._ended(num)
        return value

    def _run(self, config: DictConfig) -> Any:
        recorded = self._on_this_host()
        close_log_files()
        try:
            if is_the_jobs_own(self.start):
                return run_in_this_process(recorded, self.start, config)
            with self._taken_back():
                return run_in_own_process(recorded, self.start, config, dict(os.environ))
        except (Terminated, Preempted):
            raise
        except (SystemExit, KeyboardInterrupt) as error:
            raise JobExited(how_it_left(error)) from error
        finally:
            close_log_files()

    def _taken_back(self) -> AbstractContextManager[None]:
        """A job in a process of its own, below submitit's on a cluster, is requeued as one in submitit's is."""
        if os.environ.get("SUBMITIT_EXECUTOR") != "slurm":
            return nullcontext()
        return requeued_when_taken_back(HydraConfig.get().runtime.output_dir)

    def _ended(self, num: Any) -> None:
        """On a cluster, where jobs may outlive their sweep, the last one clears up."""
        frozen, sweep = self.start.frozen, self.recorded.plan.sweep
        if frozen is None or sweep is None or "SLURM_JOB_ID" not in os.environ:
            return
        note_end(frozen, num, Path(sweep.sweep_dir), os.environ)

    def _on_this_host(self) -> RecordedTask:
        """The task, with what this machine has that the sweep's others have not."""
        plan, submitter = self.recorded.plan, self.start.submitter
        if submitter is None or plan.sweep is None or "SLURM_JOB_ID" not in os.environ:
            return self.recorded
        required = self.start.required_for(HydraConfig.instance().cfg)  # type: ignore[arg-type]
        found = host_findings(submitter, this_host(os.environ), Path(plan.sweep.sweep_dir), required)
        return self.recorded.with_plan(replace(plan, findings=(*plan.findings, *found)))


def close_log_files() -> None:
    """From here on nothing is logged into the job's files: what the worker says is no part of the job.

    Hydra has opened the job's log in the worker; the job itself opens it again.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, logging.FileHandler):
            root.removeHandler(handler)
            handler.close()
