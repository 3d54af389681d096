"""The launcher inside a sweep: the one that the user chose, made to give each job a process of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from repro_hydra.config import Mode
from repro_hydra.launcher.batch_script import setup_lines
from repro_hydra.launcher.detached import SLURM
from repro_hydra.launcher.hosts import this_host
from repro_hydra.launcher.isolated_task import IsolatedTask
from repro_hydra.launcher.task import JobStart, RecordedTask
from repro_hydra.session.plan import Plan

BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"


def inner_launcher(
    instantiate: Callable[..., Any],
    context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
    *,
    plan: Plan,
    start: JobStart,
) -> Any:
    """Set up what really starts the jobs.

    In record mode it is the user's launcher with a task that records. Else Hydra's basic one is replaced by ours, and
    any other gets a task that starts a process, unless it isolates its jobs by itself.

    Parameters
    ----------
    instantiate : callable
        Hydra's own `Plugins.instantiate_launcher`.
    """
    recorded = RecordedTask(task_function, plan)
    target = str(config.hydra.launcher.get("_target_"))
    isolates = plan.mode is not Mode.record
    if isolates and target == BASIC:
        from repro_hydra.launcher.isolating import IsolatingLauncher

        ours = IsolatingLauncher()
        ours.job_start = start
        ours.setup(hydra_context=context, task_function=recorded, config=config)
        return ours
    task: Any = recorded
    if isolates and not _isolates_itself(target):
        by_script = start.program is not None
        task = IsolatedTask(recorded.with_task(None) if by_script else recorded, start)
    launcher = instantiate(hydra_context=context, task_function=task, config=config)
    if _isolates_itself(target):
        launcher.core.job_start = start
    elif isolates and target == SLURM:
        _prepare_nodes(launcher, plan, start)
    return launcher


def _isolates_itself(target: str) -> bool:
    return target.endswith(".ReproLauncher")


def _prepare_nodes(launcher: Any, plan: Plan, start: JobStart) -> None:
    """Put our lines into the batch script, after the user's own."""
    assert plan.sweep is not None
    ours = setup_lines(start.required, Path(plan.sweep.sweep_dir).absolute(), sys.executable, plan.cwd)
    launcher.params["setup"] = [*(launcher.params.get("setup") or []), *ours]
    start.submitter = this_host({**os.environ, **start.required})
