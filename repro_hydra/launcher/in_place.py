"""A job in the process that the cluster started for it, where that process is already what the job needs.

A worker of joblib serves one job after another, so there each job gets a process of its own. Submitit on Slurm starts a
fresh interpreter for each, and its batch script has put the environment right: a second interpreter would only cost.
Signals then reach the job itself, so it can make a checkpoint and be queued again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobRuntime
from omegaconf import DictConfig, OmegaConf
from omegaconf.basecontainer import BaseContainer

from repro_hydra.composed import env_set
from repro_hydra.determinism.interpreter import initial_environment, variables_not_in_force
from repro_hydra.inputs.start import begin_job
from repro_hydra.launcher.anew import TaskFunction, prepare_interpreter, run_at_main
from repro_hydra.launcher.edited import why_not_reached
from repro_hydra.launcher.pickling import dumps, loads
from repro_hydra.launcher.preemption import requeued_when_taken_back
from repro_hydra.launcher.spec import pack_outcome, unpack_outcome
from repro_hydra.launcher.stand_in import enter
from repro_hydra.launcher.task import JobStart, RecordedTask
from repro_hydra.launcher.worker import argv_of, work_of
from repro_hydra.session import process


def is_the_jobs_own(start: JobStart) -> bool:
    """Whether this very process can be the job's: fresh, and with the right environment from its start."""
    if os.environ.get("SUBMITIT_EXECUTOR") != "slurm" or start.program is None or not process.is_fresh():
        return False
    config: Any = HydraConfig.instance().cfg
    if env_set(config) or _interpreter_flags() != start.interpreter_flags:
        return False  # both are there from the start in a process of the job's own
    return not variables_not_in_force(start.required_for(config), initial_environment())


def run_in_this_process(recorded: RecordedTask, start: JobStart, config: DictConfig) -> Any:
    """Execute the script anew as ``__main__`` here, and run the job where it calls its task.

    Raises
    ------
    Exception
        Whatever the task raised.
    """
    program = start.program
    assert program is not None
    output_dir = HydraConfig.get().runtime.output_dir
    work = work_of(recorded, start, config)
    # As it travels to another process: a job must not change what Hydra's `run_job` goes on with around it.
    data = dumps(work, main_by_reference=False)
    reached = False

    def run(task: TaskFunction) -> Any:
        nonlocal reached
        reached = True
        return loads(data)(task, None)

    frozen, argv = start.hold_code(), argv_of(start)
    value, error = None, None
    with requeued_when_taken_back(output_dir), _as_in_a_new_interpreter():
        os.chdir(recorded.plan.cwd)
        if frozen is not None:
            entered, argv = enter(frozen, program, argv, recorded.plan.cwd)
            assert entered is not None
            program = entered
        prepare_interpreter(program, argv)
        begin_job()
        try:
            value = run_at_main(program, recorded.identity, run)
        except Exception as caught:  # noqa: BLE001 (the user's own, whatever it is: it goes back to the sweep)
            error = caught if reached else why_not_reached(recorded.plan.code_at_start, caught)
    return unpack_outcome(pack_outcome(value, error, main_by_reference=False, frozen=frozen))


def _interpreter_flags() -> list[str]:
    return [
        flag
        for flag in subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        if flag != "-u"
    ]


@contextmanager
def _as_in_a_new_interpreter() -> Iterator[None]:
    """Take away what the sweep's parent sent along of its own script, which is about to define it again."""
    instances, resolvers = dict(Singleton._instances), dict(BaseContainer._resolvers)
    own_path, own_argv = list(sys.path), list(sys.argv)
    for kind in (GlobalHydra, HydraConfig, JobRuntime):
        Singleton._instances.pop(kind, None)
    OmegaConf.clear_resolvers()
    if not getattr(sys.flags, "safe_path", False) and sys.path[:1] == [initial_environment().get("PWD")]:
        del sys.path[0]  # `python -m submitit…` put it there; the program brings its own
    try:
        yield
    finally:
        Singleton._instances, BaseContainer._resolvers = instances, resolvers
        sys.path[:], sys.argv[:] = own_path, own_argv
