"""The user's task inside a session: what every door hands to Hydra in place of the task itself."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from msgspec.structs import replace
from omegaconf import DictConfig, OmegaConf

from repro_hydra.code.frozen_tree import FrozenTree
from repro_hydra.composed import select
from repro_hydra.config import Mode, ReproConf
from repro_hydra.determinism import required_variables
from repro_hydra.determinism.interpreter import HASH_SEED
from repro_hydra.launcher.anew import TaskFunction, TaskId, task_id
from repro_hydra.record.environment import EnvironmentRecord
from repro_hydra.record.paths import RunPaths
from repro_hydra.session import process
from repro_hydra.session.child import ChildSession, completed_by_earlier_attempt, record_of_rank_zero
from repro_hydra.session.closing import finish_earlier_end
from repro_hydra.session.continuing import value_if_completed
from repro_hydra.session.plan import Job, Plan, options_from
from repro_hydra.session.recorded import put_in_place
from repro_hydra.session.say import say
from repro_hydra.session.session import Session


def job_from_hydra(config: DictConfig) -> Job:
    """The job that `HydraConfig` describes in this process."""
    hydra: Any = HydraConfig.get()
    num = OmegaConf.select(hydra, "job.num", throw_on_missing=False)
    return Job(
        run_dir=Path(hydra.runtime.output_dir),
        config=config,
        name=hydra.job.name,
        num=num if isinstance(num, int) else None,
        overrides=list(hydra.overrides.task),
        hydra_overrides=list(hydra.overrides.hydra),
        config_name=hydra.job.config_name,
        config_dirs=[
            source.path
            for source in sorted(hydra.runtime.config_sources, key=lambda source: source.provider != "main")
            if source.schema in ("file", "pkg") and source.path and source.provider != "hydra"
        ],
    )


def run_in_session(
    task: TaskFunction, config: DictConfig, plan: Plan, environment: EnvironmentRecord | None = None
) -> Any:
    """Run `task` within a session, with the options that this very job's config holds."""
    hydra: Any = HydraConfig.get()
    own = OmegaConf.select(hydra, "callbacks.repro", throw_on_missing=False)
    if own is not None and plan.recorded is None:
        plan = replace(plan, options=options_from(own))
    if plan.recorded is not None:
        put_in_place(config, plan.recorded)
    job = job_from_hydra(config)
    completed, value = value_if_completed(RunPaths(job.run_dir), plan, job)
    beside_rank_zero = plan.sweep is not None and process.rank_and_world(os.environ)[0] > 0
    if beside_rank_zero and not (completed and completed_by_earlier_attempt(job.run_dir, os.environ)):
        record_of_rank_zero(job.run_dir, os.environ)
        with ChildSession(plan.options, job, job.run_dir):
            return task(config)
    if completed:
        say(f"{job.run_dir}: this run has completed already; its result is taken from its record")
        if process.rank_and_world(os.environ)[0] == 0:
            finish_earlier_end(RunPaths(job.run_dir))
        return value
    with Session(plan, job, environment=environment) as session:
        value = task(config)
        session.returned(value)
    return value


class RecordedTask:
    """The task of a job, run within a session wherever it is called.

    Parameters
    ----------
    task : callable or None
        The user's function; None once it is left to the job's process to find it in the script.
    """

    def __init__(self, task: TaskFunction | None, plan: Plan, identity: TaskId | None = None) -> None:
        assert task is not None or identity is not None
        self.task = task
        self.plan = plan
        self.identity: TaskId = identity if identity is not None else task_id(task)
        self.environment: EnvironmentRecord | None = None

    def __call__(self, config: DictConfig) -> Any:
        assert self.task is not None
        return run_in_session(self.task, config, self.plan, self.environment)

    def with_task(self, task: TaskFunction | None) -> RecordedTask:
        return RecordedTask(task, self.plan, self.identity)

    def with_plan(self, plan: Plan) -> RecordedTask:
        return RecordedTask(self.task, plan, self.identity)


def exit_as_return(task: TaskFunction) -> TaskFunction:
    """``sys.exit(0)`` ends a single run well; in a job's process it is that job's return, and says no more."""

    def returning(config: DictConfig) -> Any:
        try:
            return task(config)
        except SystemExit as error:
            if error.code in (None, 0):
                return None
            raise

    return returning


def required_at_start(options: ReproConf) -> dict[str, str]:
    """What a job's interpreter starts with. In standard its threads stay, its hash seed does not."""
    if options.mode is Mode.record:
        return {}
    return {"PYTHONHASHSEED": HASH_SEED, **required_variables(options.determinism, os.environ)}


class JobStart:
    """How the jobs of a sweep are started: picklable, the same for all of them."""

    def __init__(
        self, program: Any, argv: list[str], required: dict[str, str], frozen: FrozenTree | None = None
    ) -> None:
        self.program = program
        self.frozen = frozen
        """The copy of the code that every job runs; None: they run in place."""
        self.argv = argv
        self.required = required
        """By the options of the sweep; those of a job may differ."""
        self.interpreter_flags = [
            flag
            for flag in subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
            if flag not in ("-u", "-E", "-I", "-R")
        ]
        self.submitter: Any = None
        """`hosts.HostFacts` of the machine that the sweep was started on; only where jobs run on others."""

    def hold_code(self) -> FrozenTree | None:
        """The copy of the code, as it was made: to be called before each job, where it starts.

        Raises
        ------
        FreezeError
            It is not here, and cannot be made again.
        """
        if self.frozen is not None:
            from repro_hydra.code.freeze import hold  # which a single run never needs

            hold(self.frozen, environ=os.environ)
        return self.frozen

    def required_for(self, config: DictConfig) -> dict[str, str]:
        """The variables that the job with this config, hydra node included, must start with."""
        own = select(config, "hydra.callbacks.repro")
        return self.required if own is None or not self.required else required_at_start(options_from(own))
