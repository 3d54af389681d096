"""What an isolated job's process does, once the script's top level ran: the job as Hydra runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobRuntime, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from repro_hydra.launcher.task import RecordedTask, exit_as_return
from repro_hydra.record.environment import EnvironmentRecord


@dataclass
class HydraWork:
    """One job with Hydra's callbacks, logging and directory, as a pickle that its process calls."""

    hydra_context: HydraContext
    config: DictConfig
    task: TaskFunction | None
    singletons: Any

    def __call__(self, task: TaskFunction | None, environment: EnvironmentRecord | None) -> JobReturn:
        if self.singletons is not None:
            Singleton.set_state(self.singletons)
        setup_globals()
        initialize_hydra(self.hydra_context.config_loader, self.config)
        function = self.task
        if isinstance(function, RecordedTask):
            function = function if task is None else function.with_task(task)
            function.environment = environment
        elif task is not None:
            function = task
        assert function is not None
        return run_job(
            hydra_context=self.hydra_context,
            task_function=exit_as_return(function),
            config=self.config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )


def initialize_hydra(config_loader: Any, config: DictConfig) -> None:
    """A task may ask `GlobalHydra` for more configs, as it can in a single run."""
    JobRuntime.instance().set("name", config.hydra.job.name)
    if not GlobalHydra.instance().is_initialized():
        GlobalHydra.instance().initialize(Hydra(task_name=config.hydra.job.name, config_loader=config_loader))
