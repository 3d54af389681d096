"""The worker's side of a wrapped launcher: start the job's own process, and be its stand-in."""

from __future__ import annotations

import copy
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobRuntime, configure_log, setup_globals
from omegaconf import DictConfig, open_dict, read_write

from repro_hydra.arguments import job_argv
from repro_hydra.composed import set_value
from repro_hydra.determinism.addresses import fixed_for_children
from repro_hydra.launcher.anew import TaskFunction
from repro_hydra.launcher.pickling import dumps, loads
from repro_hydra.launcher.spec import JobDied, JobSpec, describe_exit, read_outcome, write_spec
from repro_hydra.launcher.task import JobStart, RecordedTask, exit_as_return
from repro_hydra.launcher.work import initialize_hydra
from repro_hydra.program import Program
from repro_hydra.record.environment import EnvironmentRecord
from repro_hydra.record.status import process_is_alive
from repro_hydra.session.plan import SweepPlace
from repro_hydra.session.process import rank_and_world
from repro_hydra.temporary import TemporaryFolder

_LOOK_AFTER_SWEEP_S = 1.0
_GRACE_S = 10.0


@dataclass
class TaskWork:
    """What the job's process of a wrapped launcher does: the task alone, since the worker did the rest."""

    recorded: RecordedTask
    config: bytes | DictConfig
    """The whole config with its hydra node; pickled by the sweep's parent where the script runs anew."""
    job_id: str
    job_num: int | None
    output_dir: str
    working_dir: str
    config_loader: Any
    """Hydra's, with which the task may compose more configs; None where the worker has none."""
    singletons: Any
    """Hydra's singletons, where the script does not run anew."""

    def __call__(self, task: TaskFunction | None, environment: EnvironmentRecord | None) -> Any:
        if self.singletons is not None:
            Singleton.set_state(self.singletons)
        setup_globals()
        config = loads(self.config) if isinstance(self.config, bytes) else self.config
        set_value(config, "hydra.job.id", self.job_id)
        set_value(config, "hydra.job.num", self.job_num)
        set_value(config, "hydra.runtime.output_dir", self.output_dir)
        rank, _ = rank_and_world(os.environ)
        if rank:  # its log lies beside rank 0's
            set_value(config, "hydra.job.name", f"{config.hydra.job.name}_rank{rank}")
        HydraConfig.instance().set_config(config)
        JobRuntime.instance().set("name", config.hydra.job.name)
        if self.config_loader is not None:
            initialize_hydra(self.config_loader, config)
        configure_log(config.hydra.job_logging, config.hydra.verbose)
        os.chdir(self.working_dir)
        task_config = copy.deepcopy(config)
        with read_write(task_config), open_dict(task_config):
            del task_config["hydra"]
        recorded = self.recorded if task is None else self.recorded.with_task(task)
        recorded.environment = environment
        return exit_as_return(recorded)(task_config)


def work_of(recorded: RecordedTask, start: JobStart, config: DictConfig) -> TaskWork:
    """What is to be done of the job that Hydra's `run_job` has prepared in this worker."""
    hydra_config: Any = HydraConfig.instance().cfg
    assert hydra_config is not None
    whole: DictConfig = copy.deepcopy(hydra_config)
    program: Program | None = start.program
    if program is None:
        with read_write(whole), open_dict(whole):
            whole.merge_with(config)
    frozen = frozen_config_path(recorded, list(hydra_config.hydra.overrides.task))
    payload: bytes | DictConfig = frozen.read_bytes() if program is not None and frozen.is_file() else whole
    return TaskWork(
        recorded=recorded.with_task(None) if program is not None else recorded,
        config=payload,
        job_id=str(hydra_config.hydra.job.id),
        job_num=hydra_config.hydra.job.num,
        output_dir=hydra_config.hydra.runtime.output_dir,
        working_dir=os.getcwd(),  # noqa: PTH109
        config_loader=GlobalHydra.instance().config_loader()
        if GlobalHydra.instance().is_initialized()
        else None,
        singletons=Singleton.get_state() if program is None else None,
    )


def argv_of(start: JobStart) -> list[str]:
    """The ``sys.argv`` of the job that Hydra has prepared in this worker."""
    overrides = HydraConfig.get().overrides
    return job_argv(start.argv, list(overrides.task), list(overrides.hydra))


def run_in_own_process(
    recorded: RecordedTask, start: JobStart, config: DictConfig, environ: dict[str, str]
) -> Any:
    """Run the job that this worker was given in a fresh interpreter, with the right environment from its start.

    Raises
    ------
    JobDied
        The process was killed, or ended without a word.
    Exception
        Whatever the task raised.
    """
    program: Program | None = start.program
    work = work_of(recorded, start, config)
    required = start.required_for(HydraConfig.instance().cfg)  # type: ignore[arg-type]
    spec = JobSpec(
        program=program,
        task=recorded.identity,
        argv=argv_of(start),
        cwd=recorded.plan.cwd,
        environ={**environ, **required},
        work=dumps(work, main_by_reference=program is not None),
        frozen=start.hold_code(),
        code_at_start=recorded.plan.code_at_start,
    )
    assert recorded.plan.sweep is not None
    with fixed_for_children(bool(required)):
        return start_and_wait(spec, recorded.plan.sweep)


def frozen_config_path(recorded: RecordedTask, overrides: list[str]) -> Path:
    """Where the sweep's parent left the config of the job with these overrides."""
    from repro_hydra.launcher.frozen import config_file

    assert recorded.plan.sweep is not None
    return config_file(Path(recorded.plan.sweep.sweep_dir), overrides)


def interpreter_command() -> list[str]:
    """This interpreter with its own flags (-X, -W, -O …) except those that hide the environment."""
    flags = [flag for flag in subprocess._args_from_interpreter_flags() if flag not in ("-E", "-I", "-R")]  # type: ignore[attr-defined]
    return [sys.executable, *flags]


def start_and_wait(spec: JobSpec, sweep: SweepPlace) -> Any:
    """Run `spec` in a fresh interpreter below this process and give back what it gives."""
    with TemporaryFolder("job") as folder:
        spec_path, outcome_path = folder / "spec", folder / "outcome"
        write_spec(spec_path, spec)
        command = [*interpreter_command(), "-m", "repro_hydra.launcher.job_process"]
        with (
            subprocess.Popen(
                [*command, str(spec_path), str(outcome_path), str(os.getpid())],
                env=spec.environ,
                stdin=subprocess.DEVNULL,
            ) as process,
            _ending_with(sweep, process),
        ):
            try:
                code = process.wait()
            except BaseException:
                process.terminate()
                raise
        try:
            return read_outcome(outcome_path)
        except FileNotFoundError:
            raise JobDied(f"the job's process {process.pid} {describe_exit(code)}") from None


@contextmanager
def _ending_with(sweep: SweepPlace, job: subprocess.Popen[bytes]) -> Iterator[None]:
    """End `job`, and this worker with it, once the process that launched the sweep is gone.

    A worker of joblib does not notice that by itself. Under Slurm jobs outlive who submitted them, as they should.
    """
    if "SLURM_JOB_ID" in os.environ or sweep.host != platform.node():
        yield
        return
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_LOOK_AFTER_SWEEP_S):
            if not process_is_alive(sweep.pid, sweep.pid_started_at):
                job.terminate()
                if not done.wait(_GRACE_S):
                    job.kill()
                os._exit(1)  # nobody is left to take what this worker has to give

    threading.Thread(target=watch, name="repro-sweep-watch", daemon=True).start()
    try:
        yield
    finally:
        done.set()
