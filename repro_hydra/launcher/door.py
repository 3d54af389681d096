"""The door of a sweep: our launcher around the user's, its record, and the table at its end."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from msgspec.structs import replace
from omegaconf import DictConfig

from repro_hydra.code.freeze import FreezeError
from repro_hydra.code.frozen_tree import FrozenTree
from repro_hydra.config import Mode
from repro_hydra.launcher.anew import to_execute
from repro_hydra.launcher.detached import OTHER_DIRECTORY, SLURM, refuse_while_jobs_go_on, told_when_left
from repro_hydra.launcher.failed_jobs import FailedJobs
from repro_hydra.launcher.freezing import freeze_sweep, not_frozen, remember_code
from repro_hydra.launcher.frozen import FrozenConfigLoader
from repro_hydra.launcher.frozen_sources import read_configs_from
from repro_hydra.launcher.inner_launcher import inner_launcher
from repro_hydra.launcher.last_out import let_code_go
from repro_hydra.launcher.planning import Planner
from repro_hydra.launcher.settling import settle
from repro_hydra.launcher.sweep_ledger import SweepLedger
from repro_hydra.launcher.task import JobStart, required_at_start
from repro_hydra.launcher.watched import WatchedLauncher, WatchedSweeper
from repro_hydra.program import NoProgram, Program
from repro_hydra.record.code import CodeRecord
from repro_hydra.record.paths import SWEEP_LOCK, SweepPaths
from repro_hydra.record.schema import Finding, SweepRecord
from repro_hydra.record.times import utc_now
from repro_hydra.repeats.plain import PlainRepeats
from repro_hydra.session.findings import Misuse, Refused, waive
from repro_hydra.session.lock import Held, WriterLock
from repro_hydra.session.plan import Plan, SweepPlace
from repro_hydra.session.say import say
from repro_hydra.session.writer import become_writer


class SweepDoor:
    """Stands between Hydra and the launcher for the length of one sweep.

    Parameters
    ----------
    plan, record
        As `sweep_plan` makes them.
    code_files : mapping
        Patches and bundles of the code, by name.
    created : sequence of Path
        The directories that were made for the sweep, innermost first.
    """

    _instead_of_a_second = OTHER_DIRECTORY

    def __init__(
        self,
        plan: Plan,
        record: SweepRecord,
        *,
        config: DictConfig,
        program: Program | NoProgram,
        code_files: Mapping[str, bytes],
        created: Sequence[Path] = (),
    ) -> None:
        assert plan.sweep is not None
        self._plan = plan
        self._options = plan.options
        self._paths = SweepPaths(Path(plan.sweep.sweep_dir))
        self._created = tuple(created)
        self._code_files = code_files
        self._isolates = plan.mode is not Mode.record
        self._on_slurm = str(config.hydra.launcher.get("_target_")) == SLURM
        """Its jobs may go on when this process has ended."""
        self._lock = WriterLock(
            self._paths.sweep_dir, os.environ, name=SWEEP_LOCK, instead=self._instead_of_a_second
        )
        self._start = JobStart(to_execute(program), list(sys.argv), required_at_start(plan.options))
        self._launcher: Any = None
        self._closed = False
        self.ledger = self._open_ledger(record)
        self.failed = FailedJobs()

    def _open_ledger(self, record: SweepRecord) -> SweepLedger:
        return SweepLedger(self._paths, record, on_slurm=self._on_slurm, check_writer=self._lock.check)

    # ------------------------------------------------------------------ standing in for Hydra's plugins

    def open(self) -> None:
        """From now on Hydra gets our sweeper and launcher around the ones that the user chose.

        Raises
        ------
        Misuse
            Another process launches a sweep in this directory, or jobs of an earlier one go on there.
        Refused
            In strict, where nothing could keep another one out.
        """
        self._become_writer()
        plugins: Any = Plugins.instance()
        self._original_sweeper = plugins.instantiate_sweeper
        self._original_launcher = plugins.instantiate_launcher
        plugins.instantiate_sweeper = self._instantiate_sweeper
        plugins.instantiate_launcher = self._instantiate_launcher

    def _become_writer(self) -> None:
        self._paths.sweep_dir.mkdir(parents=True, exist_ok=True)
        try:
            unprotected = become_writer(self._lock)
        except Held as error:
            raise Misuse(str(error)) from None
        try:
            if unprotected is not None:
                self._settle([unprotected])
            self._look_at_what_is_there()
        except BaseException:
            self.undo()
            self._lock.release()
            raise

    def _look_at_what_is_there(self) -> None:
        """Nobody else launches jobs here; that some go on by themselves is still possible."""
        refuse_while_jobs_go_on(self._paths)

    def __deepcopy__(self, memo: dict[int, Any]) -> SweepDoor:
        # Hydra copies its singletons, the plugins among them, and throws that copy away.
        return self

    def _instantiate_sweeper(self, **arguments: Any) -> Any:
        try:
            self._hold_code(arguments["hydra_context"])
            sweeper = self._original_sweeper(**arguments)
        except Refused as error:
            self.undo()
            self.close()
            say(str(error))
            raise SystemExit(error.exit_status) from None
        except BaseException:
            self.undo()
            self.close()
            raise
        return WatchedSweeper(sweeper, self)

    def _instantiate_launcher(
        self, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> Launcher:
        loader = FrozenConfigLoader(hydra_context.config_loader, str(self._paths.sweep_dir))
        facade: Any = loader
        context = HydraContext(config_loader=facade, callbacks=hydra_context.callbacks)
        launcher = inner_launcher(
            self._original_launcher, context, task_function, config, plan=self._plan, start=self._start
        )
        self._launcher = launcher
        return WatchedLauncher(launcher, self, loader, config)

    def _hold_code(self, context: HydraContext) -> None:
        """Freeze the code and the configs, or note what they are where the sweep runs in place."""
        code, options = self._plan.code, self._options.code
        assert self._plan.sweep is not None
        if code is None or code.repository is None or code.tree is None:
            return  # nothing is known of the code, which its findings tell
        if options.freeze and self._isolates:
            try:
                frozen = self._freeze(code, self._plan.sweep)
            except FreezeError as error:
                self._settle([not_frozen(str(error))])
            else:
                read_configs_from(frozen, context.config_loader)
                self._plan = replace(self._plan, frozen=frozen)
                self._start.frozen = frozen
                return
        remembered = remember_code(code, self._paths)
        self._plan = replace(self._plan, code_at_start=None if remembered is None else str(remembered))

    def _freeze(self, code: CodeRecord, sweep: SweepPlace) -> FrozenTree:
        return freeze_sweep(code, self._options.code, sweep)

    def _let_code_go(self) -> None:
        if self._plan.frozen is not None:
            let_code_go(self._plan.frozen, self.ledger.record.jobs, self._paths, jobs_go_on=self._on_slurm)

    def undo(self) -> None:
        """No job was started: take away the directories that were made for the sweep, innermost first."""
        if self.ledger.record.jobs or not self._created:
            return
        self._let_code_go()
        shutil.rmtree(self._paths.queue, ignore_errors=True)
        (self._paths.sweep_dir / "multirun.yaml").unlink(missing_ok=True)  # by Hydra's sweeper
        self._lock.release()
        for directory in (self._paths.record, *self._created):
            with contextlib.suppress(OSError):  # another sweep has come to live there
                directory.rmdir()

    def close(self) -> None:
        """The sweep is over: give Hydra its plugins back, bring the record up to date, tell how it went."""
        if self._closed:
            return
        self._closed = True
        try:
            self._finish()
        finally:
            self._lock.release()

    def _finish(self) -> None:
        plugins: Any = Plugins.instance()
        plugins.__dict__.pop("instantiate_sweeper", None)
        plugins.__dict__.pop("instantiate_launcher", None)
        core = getattr(self._launcher, "core", self._launcher)
        if hasattr(core, "close"):
            core.close()
        self._let_code_go()
        going_on = self.ledger.jobs_go_on
        if not going_on:  # else those jobs are yet to read their configs
            shutil.rmtree(self._paths.queue, ignore_errors=True)
        if not self._paths.sweep.exists():
            return
        if going_on:
            say(told_when_left(self.ledger.record, str(self._paths.sweep_dir)))
            return
        self.ledger.save(ended_at=utc_now(), findings=[*self.ledger.record.findings, *self._ignored_seeds()])
        self._tell()

    # ------------------------------------------------------------------ the jobs

    def plan_jobs(
        self,
        loader: FrozenConfigLoader,
        config: DictConfig,
        job_overrides: Sequence[Sequence[str]],
        numbers: Sequence[int],
    ) -> None:
        """Compose, check and freeze a batch of jobs, and write them into ``sweep.json`` before they start."""
        batch = self._planner().plan(loader, config, job_overrides, numbers)
        self._settle(batch.findings)
        self.ledger.begin(self._plan.code, self._code_files, self._options)
        self.ledger.plan(batch.jobs)

    def repeats_for(self, config: DictConfig) -> PlainRepeats | None:
        """How each job is repeated; None where it is run once."""
        return self._planner().repeats(config)

    def _planner(self) -> Planner:
        return Planner(self._options, self._start, self._plan)

    def _settle(self, findings: list[Finding]) -> None:
        settled = settle(findings, self._options, "the sweep", always_stops=self._always_stops)
        self.ledger.add_findings(settled)

    def _always_stops(self, finding: Finding) -> bool:
        """Jobs that write over each other: no mode that isolates can mean it."""
        return finding.id.startswith("job-directories-shared") and self._isolates

    @property
    def waits(self) -> bool:
        """Whether this process stays until the jobs have ended."""
        return self._options.wait

    def _ignored_seeds(self) -> list[Finding]:
        from repro_hydra.sweep.ignored_seeds import findings_of_sweep

        found = findings_of_sweep(self._paths.sweep_dir, self.ledger.record.jobs, self._options.seed.key)
        found = waive(found, self._options.allow)
        for finding in found:
            if finding.waived is None:
                say(f"[{finding.id}] {finding.message}")
        return found

    def _tell(self) -> None:
        from repro_hydra.sweep.closing import print_closing_table

        try:
            print_closing_table(self._paths.sweep_dir)
        except Exception as error:  # noqa: BLE001 (the jobs are done and recorded: a table must not fail them)
            say(f"the table could not be made ({type(error).__name__}: {error})")
        say(f"sweep record {self._paths.record}; again with: repro-hydra aggregate {self._paths.sweep_dir}")
