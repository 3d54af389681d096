"""The start of a sweep: what holds for all its jobs checked, its directory claimed, its door opened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from repro_hydra.composed import set_value
from repro_hydra.config import Mode, ReproConf
from repro_hydra.groups import check_groups, without_repro
from repro_hydra.launcher.anew import started_by_hydra_main
from repro_hydra.launcher.detached import refuse_unless_it_can_be_left
from repro_hydra.launcher.directories import output_directory, remember
from repro_hydra.launcher.door import SweepDoor
from repro_hydra.launcher.resuming import Again, ResumeDoor, asked_again, code_of
from repro_hydra.launcher.settling import settle_start
from repro_hydra.launcher.sweep_plan import first_record, plan_of_sweep
from repro_hydra.program import NoProgram, describe_program
from repro_hydra.session import process
from repro_hydra.session.check import check_start, check_sweeper
from repro_hydra.session.claim import check_directory, reserve_stamped
from repro_hydra.session.code import keep_code
from repro_hydra.session.datasets import look_at_data, pin_data, register_new_data
from repro_hydra.session.findings import Misuse
from repro_hydra.session.say import say

_CALLED_BY_ITSELF = NoProgram(reason="the program called Hydra by itself, and not by @hydra.main")


def _below_torchrun(options: ReproConf) -> None:
    """Each rank would start the sweep, and the ranks of one job would wait for each other in two sweeps."""
    found = f"found it started in each of {process.rank_and_world(os.environ)[1]} ranks (RANK and WORLD_SIZE are set)"
    if options.mode is Mode.record:
        say(f"this sweep is NOT recorded: expected one process that starts it, {found}")
        return
    raise Misuse(
        f"a sweep: expected one process that starts it, {found}. Start each seed by itself: torchrun … train.py "
        "+repro=strict seed=0; or leave the ranks to the launcher: hydra/launcher=submitit_slurm "
        "hydra.launcher.tasks_per_node=2"
    )


def start_sweep(config: DictConfig, options: ReproConf) -> None:
    """Check what holds for the whole sweep, or for one that goes on, and put our launcher around the user's.

    Raises
    ------
    Refused
        Something blocks.
    Misuse
        Something in the config cannot be meant.
    """
    if "RANK" in os.environ and process.rank_and_world(os.environ)[1] > 1:
        _below_torchrun(options)
        return
    check_groups(config)
    refuse_unless_it_can_be_left(options, config)
    without_repro(config)
    again = asked_again(os.environ)
    if again is not None:
        _resume(config, options, again)
        return
    directory, stamped = output_directory(config, "hydra.sweep.dir")
    program = describe_program()
    checked = check_start(options, program, cwd=Path.cwd(), exclude=(directory,))
    sweeper: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=False)
    findings = [
        *check_directory(directory, stamped=True),
        *check_sweeper(sweeper if isinstance(sweeper, dict) else None),
        *checked.findings,
    ]
    findings = settle_start(findings, options, "the sweep")
    code = keep_code(checked.code, options.code, findings)
    created = [path for path in directory.parents if not path.exists()]
    if stamped:
        directory = reserve_stamped(directory)
    if stamped or not directory.exists():
        created.insert(0, directory)
    set_value(config, "hydra.sweep.dir", str(directory))
    remember(directory, stamped=stamped)
    data, unregistered = register_new_data(checked.data, Path.cwd())
    data, changed = pin_data(data, Path.cwd())
    plan = plan_of_sweep(
        options,
        config,
        directory,
        program=program if started_by_hydra_main() else _CALLED_BY_ITSELF,
        code=code.record,
        data=data,
        lock=checked.lock,
        findings=[*findings, *unregistered, *changed],
    )
    SweepDoor(
        plan,
        first_record(plan, config),
        config=config,
        program=program,
        code_files=code.files,
        created=created,
    ).open()


def _resume(config: DictConfig, options: ReproConf, again: Again) -> None:
    """Go on with a sweep: its code is the recorded one, so what lies in the work tree now is not looked at."""
    set_value(config, "hydra.sweep.dir", again.sweep_dir)
    data, found = look_at_data(options.data, Path.cwd())
    data, changed = pin_data(data, Path.cwd())
    program = describe_program()
    plan = plan_of_sweep(
        options,
        config,
        Path(again.sweep_dir),
        program=program,
        code=code_of(Path(again.sweep_dir)),
        data=data,
        findings=settle_start([*found, *changed], options, "the sweep"),
    )
    ResumeDoor(again, plan, config=config, program=program).open()
