"""Hydra's door for single runs, and the doorkeeper of sweeps: what ``+repro=…`` puts at ``hydra.callbacks.repro``."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from repro_hydra.composed import as_hydra_config, as_written, env_set, select, set_value
from repro_hydra.config import Mode, ReproConf
from repro_hydra.determinism import required_variables, restart
from repro_hydra.groups import check_groups
from repro_hydra.launcher.next_task import ChildTask, ExitingTask, stop, wrap_next_task
from repro_hydra.program import describe_program
from repro_hydra.record.schema import Finding
from repro_hydra.seed import SeedError, choose_seeds
from repro_hydra.session import process
from repro_hydra.session.check import (
    check_env_set,
    check_interpreter,
    check_single_run,
    check_start,
    check_sweeper,
    late_hash_seed,
)
from repro_hydra.session.claim import check_directory, reserve_stamped
from repro_hydra.session.code import keep_code
from repro_hydra.session.datasets import look_at_data, pin_data, register_new_data
from repro_hydra.session.findings import Misuse, Refused, blockers, refusal, waive
from repro_hydra.session.plan import Plan, options_from
from repro_hydra.session.ranks import Meeting, NoRankZero, meeting
from repro_hydra.session.recorded import asked_for, take
from repro_hydra.session.recorded_options import recorded_options, take_place
from repro_hydra.session.say import say


class ReproCallback(Callback):
    """Wraps a single run in a session, and a sweep's launcher in ours.

    Parameters
    ----------
    **given
        The node ``hydra.callbacks.repro``; see `repro_hydra.config.ReproConf`.
    """

    def __init__(self, **given: Any) -> None:
        run_mode = given.pop("run_mode", None)
        try:
            self.options: ReproConf = options_from(given)
            recorded = asked_for(os.environ)
            if recorded is not None:
                self.options = recorded_options(recorded, self.options)
        except Misuse as error:
            stop(str(error), error.exit_status)
        self._parent = process.parent_run(os.environ)
        # Before any other callback has acted: what they do would be done twice.
        if run_mode is not None and run_mode == RunMode.RUN and self._parent is None:
            self._restart_if_needed()

    def _restart_if_needed(self) -> list[Finding]:
        if self.options.check_only or not process.is_fresh():
            return []
        restart_with, findings = check_interpreter(self.options)
        if restart_with:
            restart(restart_with)
        return findings

    # ------------------------------------------------------------------ one run

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Check everything, claim the run directory, and have Hydra run the task within a session."""
        with self._failing_closed():
            self._on_run_start(config)

    def _on_run_start(self, config: DictConfig) -> None:
        if self._parent is not None or process.rank_and_world(os.environ)[0] > 0:
            self._attach(config)
            return
        with self._telling_the_other_ranks(config):
            self._start(config)

    def _start(self, config: DictConfig) -> None:
        # Imported before anything is created: an import that fails must leave nothing behind.
        from repro_hydra.launcher.frozen import without_repro
        from repro_hydra.launcher.task import RecordedTask

        check_groups(config)
        interpreter = self._interpreter_findings()
        without_repro(config)
        recorded = take(os.environ)
        if recorded is not None:
            take_place(config, recorded)
        directory, stamped = _output_directory(config, "hydra.run.dir")
        program = describe_program()
        checked = check_start(self.options, program, cwd=Path.cwd(), exclude=(directory,))
        findings = [
            *interpreter,
            *check_single_run(self.options),
            *late_hash_seed(),
            *check_env_set(env_set(config), required_variables(self.options.determinism, os.environ)),
            *check_directory(directory, stamped=stamped, goes_on=self.options.resume),
            *checked.findings,
        ]
        if recorded is None:
            self._check_seed(config)
        findings = self._settle(findings, "the run")
        code = keep_code(checked.code, self.options.code, findings)
        if stamped:
            directory = reserve_stamped(directory)
        set_value(config, "hydra.run.dir", str(directory))
        data, unregistered = register_new_data(checked.data, Path.cwd())
        plan = Plan(
            options=self.options,
            argv=list(sys.argv),
            cwd=str(Path.cwd()),
            entry=_entry(program),
            code=code.record,
            code_files=code.files,
            data=data,
            lock=checked.lock,
            findings=(*findings, *unregistered),
            recorded=recorded,
        )
        if recorded is None:  # else this is a scratch copy of the project, and who started it remembers
            _remember(directory.parent)
        # A callback cannot replace the task function, and `on_job_end` is not called after SystemExit or Ctrl-C:
        # so the task is wrapped where Hydra passes it on.
        wrap_next_task(lambda task: ExitingTask(RecordedTask(task, plan)))

    def _interpreter_findings(self) -> list[Finding]:
        if self.options.check_only:
            _, findings = check_interpreter(self.options)
            return findings
        return self._restart_if_needed()

    def _attach(self, config: DictConfig) -> None:
        """A child of a run (a DDP rank, a nested command) takes part in it, and claims nothing."""
        run_dir = self._dir_of_rank_zero(config) if self._parent is None else self._parent.run_dir
        wrap_next_task(lambda task: ChildTask(task, self.options, run_dir))

    def _dir_of_rank_zero(self, config: DictConfig) -> Path | None:
        """Where rank 0 runs, with this rank's Hydra pointed there and its log beside rank 0's."""
        place = self._meeting(config)
        assert place is not None
        if self.options.check_only:
            stop("check only: rank 0 tells what would block", 0)
        try:
            run_dir = place.wait()
        except NoRankZero as error:
            if self.options.mode is Mode.strict:
                stop(str(error), 1)
            say(f"this rank is NOT recorded: {error}")
            return None
        rank, _ = process.rank_and_world(os.environ)
        set_value(config, "hydra.run.dir", str(run_dir))
        set_value(config, "hydra.output_subdir", None)
        set_value(config, "hydra.job.name", f"{config.hydra.job.name}_rank{rank}")
        return run_dir

    def _meeting(self, config: DictConfig) -> Meeting | None:
        return meeting(as_written(config, "hydra.run.dir"), Path.cwd(), os.environ)

    @contextmanager
    def _telling_the_other_ranks(self, config: DictConfig) -> Iterator[None]:
        """Rank 0 of several: say where the run is, or that there is none."""
        place = None if self.options.check_only else self._meeting(config)
        try:
            yield
        except BaseException:
            if place is not None:
                with suppress(
                    OSError
                ):  # a folder that cannot be written: what was refused says so, and is told
                    place.announce("refused")
            raise
        if place is not None:
            place.announce("running", Path(str(config.hydra.run.dir)))

    def _check_seed(self, config: DictConfig) -> None:
        if self.options.seed.repeats != 1:
            raise Misuse(
                f"hydra.callbacks.repro.seed.repeats={self.options.seed.repeats}: expected a sweep, found a single "
                "run. Add -m, or leave it away"
            )
        if not self.options.seed.set:
            return
        try:
            choose_seeds(self.options.seed, select(config, self.options.seed.key))
        except SeedError as error:
            raise Misuse(str(error)) from None

    # ------------------------------------------------------------------ a sweep

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Check what holds for the whole sweep, and put our launcher around the user's."""
        with self._failing_closed():
            self._on_multirun_start(config)

    def _on_multirun_start(self, config: DictConfig) -> None:
        if self._parent is not None:
            say(
                f"this sweep was started by a job of {self._parent.run_dir}: it is part of that run, and gets no "
                "record and no isolation of its own"
            )
            return
        from repro_hydra.launcher.detached import refuse_unless_it_can_be_left
        from repro_hydra.launcher.door import SweepDoor
        from repro_hydra.launcher.frozen import without_repro
        from repro_hydra.launcher.resuming import asked_again
        from repro_hydra.launcher.sweep_plan import first_record, plan_of_sweep

        check_groups(config)
        refuse_unless_it_can_be_left(self.options, config)
        without_repro(config)
        again = asked_again(os.environ)
        if again is not None:
            self._resume_sweep(config, again)
            return
        directory, stamped = _output_directory(config, "hydra.sweep.dir")
        program = describe_program()
        checked = check_start(self.options, program, cwd=Path.cwd(), exclude=(directory,))
        sweeper: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=False)
        findings = [
            *check_directory(directory, stamped=True),
            *check_sweeper(sweeper if isinstance(sweeper, dict) else None),
            *checked.findings,
        ]
        findings = self._settle(findings, "the sweep")
        code = keep_code(checked.code, self.options.code, findings)
        created = [path for path in directory.parents if not path.exists()]
        if stamped:
            directory = reserve_stamped(directory)
        if stamped or not directory.exists():
            created.insert(0, directory)
        set_value(config, "hydra.sweep.dir", str(directory))
        _remember(directory.parent)
        data, unregistered = register_new_data(checked.data, Path.cwd())
        data, changed = pin_data(data, Path.cwd())
        plan = plan_of_sweep(
            self.options,
            config,
            directory,
            program=program,
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

    def _resume_sweep(self, config: DictConfig, again: Any) -> None:
        """Go on with a sweep: its code is the recorded one, so what lies in the work tree now is not looked at."""
        from repro_hydra.launcher.resuming import ResumeDoor, code_of
        from repro_hydra.launcher.sweep_plan import plan_of_sweep

        set_value(config, "hydra.sweep.dir", again.sweep_dir)
        data, found = look_at_data(self.options.data, Path.cwd())
        data, changed = pin_data(data, Path.cwd())
        program = describe_program()
        plan = plan_of_sweep(
            self.options,
            config,
            Path(again.sweep_dir),
            program=program,
            code=code_of(Path(again.sweep_dir)),
            data=data,
            findings=self._settle([*found, *changed], "the sweep"),
        )
        ResumeDoor(again, plan, config=config, program=program).open()

    # ------------------------------------------------------------------ common to both

    def _settle(self, findings: list[Finding], what: str) -> list[Finding]:
        """Waive what is waived, and stop for what blocks; or list it all and stop, with ``check_only``."""
        settled = waive(findings, self.options.allow)
        blocking = blockers(settled, self.options.mode)
        must = [f for f in settled if f.id.startswith(_ALWAYS_STOP)]
        if self.options.check_only:
            would = [f for f in settled if f.severity == "blocks" and f.waived is None]
            if not would:
                stop(f"check only: nothing would block {what}", 0)
            stop(refusal(would, f"check only, {what}", "it would not start"), 1)
        if blocking or must:
            raise Refused(blocking or must, f"{self.options.mode.value} refuses {what}")
        for finding in settled:
            if finding.severity == "blocks":
                state = f"waived: {finding.waived}" if finding.waived is not None else "recorded"
                say(f"[{finding.id}] {finding.message} ({state})")
        return settled

    @contextmanager
    def _failing_closed(self) -> Iterator[None]:
        """Hydra turns a callback's exception into a warning and runs the task; strict must not."""
        try:
            yield
        except Refused as error:
            stop(str(error), error.exit_status)
        except Misuse as error:
            stop(str(error), error.exit_status)
        except Exception as error:  # noqa: BLE001 (a failure of ours, whatever it is, must be told in our words)
            if os.environ.get("HYDRA_FULL_ERROR"):
                traceback.print_exc()
            if self.options.mode is Mode.strict:
                stop(
                    f"strict refuses to go on after a failure of its own: {type(error).__name__}: {error}", 1
                )
            say(
                f"this run is NOT recorded: repro_hydra failed before the start ({type(error).__name__}: {error})"
            )


_ALWAYS_STOP = ("output-not-writable:", "output-full:")
"""Hydra itself could not go on from here, and would say so with a traceback."""


def _output_directory(config: DictConfig, key: str) -> tuple[Path, bool]:
    """The directory at `key`, absolute, and whether its name holds the time."""
    with as_hydra_config(config):
        value = str(OmegaConf.select(config, key))
    return Path(value).absolute(), "${now:" in as_written(config, key)


def _entry(program: Any) -> dict[str, Any]:
    if hasattr(program, "reason"):
        return {"kind": "none", "reason": program.reason}
    return {"kind": program.kind, "target": program.target, "cwd": program.cwd}


def _remember(place: Path) -> None:
    from repro_hydra.check.inside.start import VARIABLE
    from repro_hydra.record.places import project_of, remember_place

    if VARIABLE in os.environ:
        return  # a run of a check: its folder is gone in a minute
    remember_place(project_of(Path.cwd()), place)
