"""The start of a single run: everything checked, its directory claimed, its task wrapped in a session."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from omegaconf import DictConfig

from repro_hydra.composed import env_set, select, set_value
from repro_hydra.config import ReproConf
from repro_hydra.determinism import required_variables
from repro_hydra.groups import check_groups, without_repro
from repro_hydra.launcher.directories import output_directory, remember
from repro_hydra.launcher.next_task import ExitingTask, wrap_next_task
from repro_hydra.launcher.settling import settle_start
from repro_hydra.launcher.taking_part import RankZero
from repro_hydra.launcher.task import RecordedTask
from repro_hydra.program import describe_program, entry_of
from repro_hydra.seed import SeedError, choose_seeds
from repro_hydra.session.check import check_single_run, check_start
from repro_hydra.session.claim import check_directory, reserve_stamped
from repro_hydra.session.code import keep_code
from repro_hydra.session.datasets import register_new_data
from repro_hydra.session.findings import Misuse
from repro_hydra.session.interpreter import check_env_set, late_hash_seed, restart_if_needed
from repro_hydra.session.plan import Plan
from repro_hydra.session.recorded import take
from repro_hydra.session.recorded_options import take_place


def start_run(config: DictConfig, options: ReproConf, rank_zero: RankZero) -> None:
    """Check everything, take the run directory, and have Hydra run the task within a session.

    Raises
    ------
    Refused
        Something blocks.
    Misuse
        Something in the config cannot be meant.
    """
    check_groups(config)
    interpreter = restart_if_needed(options)
    without_repro(config)
    recorded = take(os.environ)
    if recorded is not None:
        take_place(config, recorded)
    directory, stamped = output_directory(config, "hydra.run.dir")
    program = describe_program()
    checked = check_start(options, program, cwd=Path.cwd(), exclude=(directory,))
    findings = [
        *interpreter,
        *check_single_run(options),
        *late_hash_seed(),
        *check_env_set(env_set(config), required_variables(options.determinism, os.environ)),
        *check_directory(directory, stamped=stamped, goes_on=options.resume),
        *checked.findings,
    ]
    if recorded is None:
        _check_seed(config, options)
    findings = settle_start(findings, options, "the run")
    code = keep_code(checked.code, options.code, findings)
    if stamped:
        directory = reserve_stamped(directory)
    set_value(config, "hydra.run.dir", str(directory))
    data, unregistered = register_new_data(checked.data, Path.cwd())
    plan = Plan(
        options=options,
        argv=list(sys.argv),
        cwd=str(Path.cwd()),
        entry=entry_of(program),
        code=code.record,
        code_files=code.files,
        data=data,
        lock=checked.lock,
        findings=(*findings, *unregistered),
        recorded=recorded,
    )
    if recorded is None:  # else this is a scratch copy of the project, and who started it remembers
        remember(directory, stamped=stamped)
    # A callback cannot replace the task function, and `on_job_end` is not called after SystemExit or Ctrl-C:
    # so the task is wrapped where Hydra passes it on.
    wrap_next_task(lambda task: ExitingTask(rank_zero.telling(RecordedTask(task, plan), directory)))


def _check_seed(config: DictConfig, options: ReproConf) -> None:
    if options.seed.repeats != 1:
        raise Misuse(
            f"hydra.callbacks.repro.seed.repeats={options.seed.repeats}: expected a sweep, found a single "
            "run. Add -m, or leave it away"
        )
    if not options.seed.set:
        return
    try:
        choose_seeds(options.seed, select(config, options.seed.key))
    except SeedError as error:
        raise Misuse(str(error)) from None
