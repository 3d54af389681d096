"""The door of a sweep: our launcher around the user's, its record, and the table at its end."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from repro_hydra.code.freeze import FreezeError
from repro_hydra.code.frozen_tree import FrozenTree
from repro_hydra.composed import env_set, select
from repro_hydra.config import Mode, ReproConf
from repro_hydra.groups import check_groups
from repro_hydra.launcher.batch_script import setup_lines
from repro_hydra.launcher.detached import SLURM, told_when_left
from repro_hydra.launcher.directories import job_directory, shared_directories
from repro_hydra.launcher.freezing import freeze_sweep, not_frozen, release_sweep, remember_code
from repro_hydra.launcher.frozen import FrozenConfigLoader
from repro_hydra.launcher.frozen_sources import read_configs_from
from repro_hydra.launcher.hosts import this_host
from repro_hydra.launcher.last_out import leave_to_jobs
from repro_hydra.launcher.returns import Submitted
from repro_hydra.launcher.spec import JobDied, JobNotStarted
from repro_hydra.launcher.submitted import RankFailed, Submissions
from repro_hydra.launcher.task import IsolatedTask, JobStart, RecordedTask, required_at_start
from repro_hydra.program import NoProgram, Program
from repro_hydra.record.code import CodeRecord
from repro_hydra.record.paths import RunPaths, SweepPaths
from repro_hydra.record.schema import ErrorInfo, Finding, RunRecord, SweepJob, SweepRecord
from repro_hydra.record.store import RecordError, read, update, write_json
from repro_hydra.record.times import utc_now
from repro_hydra.record.vouch import user_key, vouch_sweep
from repro_hydra.repeats.plain import BadRepeats, PlainRepeats, check_repeats
from repro_hydra.seed import SeedError, choose_seeds
from repro_hydra.session import capture, process
from repro_hydra.session.check import check_env_set
from repro_hydra.session.claim import check_directory
from repro_hydra.session.code import KeptCode
from repro_hydra.session.datasets import DataPlan, plan_for_job
from repro_hydra.session.ending import terminating
from repro_hydra.session.findings import Misuse, Refused, blockers, waive
from repro_hydra.session.plan import LockPlan, Plan, SweepPlace, options_from
from repro_hydra.session.promise import weakened
from repro_hydra.session.say import say

BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
SUBMITIT = (SLURM, "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher")


class SweepDoor:
    """Stands between Hydra and the launcher for the length of one sweep."""

    def __init__(
        self,
        *,
        options: ReproConf,
        config: DictConfig,
        sweep_dir: Path,
        program: Program | NoProgram,
        code: CodeRecord | None,
        code_files: Mapping[str, bytes],
        data: DataPlan,
        findings: Sequence[Finding],
        lock: LockPlan | None = None,
        created: Sequence[Path] = (),
    ) -> None:
        self._options = options
        self._created = tuple(created)
        self._paths = SweepPaths(sweep_dir)
        self._code_files = code_files
        self._isolates = options.mode is not Mode.record
        self._launcher: Any = None
        self._on_slurm = str(config.hydra.launcher.get("_target_")) == SLURM
        """Its jobs may go on when this process has ended."""
        self._closed = False
        sweep_id = uuid.uuid4().hex
        found = program if isinstance(program, Program) else None
        self._start = JobStart(found, list(sys.argv), required_at_start(options))
        self._plan = Plan(
            options=options,
            launcher=_choice(config, "hydra/launcher", config.hydra.launcher),
            sweep=SweepPlace(
                sweep_id=sweep_id,
                sweep_dir=str(sweep_dir),
                host=process.host(),
                pid=os.getpid(),
                pid_started_at=process.started_at(),
            ),
            argv=list(sys.argv),
            cwd=str(Path.cwd()),
            entry=(
                {"kind": found.kind, "target": found.target, "cwd": found.cwd}
                if found is not None
                else {"kind": "none"}
            ),
            code=code,
            code_taken_ns=time.time_ns(),
            data=data,
            lock=lock,
            findings=tuple(findings),
            must_be_fresh=self._isolates,
        )
        self._record = SweepRecord(
            sweep_id=sweep_id,
            name=options.name,
            mode=options.mode.value,
            created_at=utc_now(),
            sweeper=_choice(config, "hydra/sweeper", config.hydra.sweeper),
            launcher=self._plan.launcher or "",
            argv=capture.redacted_argv(sys.argv),
            cwd=str(Path.cwd()),
            overrides=capture.redacted_argv(list(config.hydra.overrides.task)),
            seed_key=options.seed.key,
            primary_metric=options.primary_metric,
            detached=not options.wait,
            entry=self._plan.entry,
            snapshot=code.snapshot if code is not None else None,
            host=process.host(),
            pid=os.getpid(),
            pid_started_at=process.started_at(),
            findings=list(findings),
        )

    # ------------------------------------------------------------------ standing in for Hydra's plugins

    def open(self) -> None:
        """From now on Hydra gets our sweeper and launcher around the ones that the user chose."""
        plugins: Any = Plugins.instance()
        self._original_sweeper = plugins.instantiate_sweeper
        self._original_launcher = plugins.instantiate_launcher
        plugins.instantiate_sweeper = self._instantiate_sweeper
        plugins.instantiate_launcher = self._instantiate_launcher

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
        recorded = RecordedTask(task_function, self._plan)
        target = config.hydra.launcher.get("_target_")
        if self._isolates and target == BASIC:
            from repro_hydra.launcher.isolating import IsolatingLauncher

            launcher: Any = IsolatingLauncher()
            launcher.job_start = self._start
            launcher.setup(hydra_context=context, task_function=recorded, config=config)
        else:
            task: Any = recorded
            if self._isolates and not _isolates_itself(target):
                by_script = self._start.program is not None
                task = IsolatedTask(recorded.with_task(None) if by_script else recorded, self._start)
            launcher = self._original_launcher(hydra_context=context, task_function=task, config=config)
            if _isolates_itself(target):
                launcher.core.job_start = self._start
            elif self._isolates and str(target) == SLURM:
                self._prepare_nodes(launcher)
        self._launcher = launcher
        return WatchedLauncher(launcher, self, loader, config)

    def _prepare_nodes(self, launcher: Any) -> None:
        """Put our lines into the batch script, after the user's own."""
        ours = setup_lines(
            self._start.required, self._paths.sweep_dir.absolute(), sys.executable, self._plan.cwd
        )
        launcher.params["setup"] = [*(launcher.params.get("setup") or []), *ours]
        self._start.submitter = this_host({**os.environ, **self._start.required})

    def _hold_code(self, context: HydraContext) -> None:
        """Freeze the code and the configs, or note what they are where the sweep runs in place."""
        code, options = self._plan.code, self._options.code
        assert self._plan.sweep is not None
        if code is None or code.repository is None or code.tree is None:
            return  # nothing is known of the code, which its findings tell
        if options.freeze and self._isolates:
            try:
                if code.snapshot is None:
                    raise FreezeError(
                        "code.freeze: expected a snapshot to freeze, found that none could be kept"
                    )
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
        """The jobs that are to come, if any, need the copy no more: those that outlive this process do."""
        frozen = self._plan.frozen
        if frozen is None or not Path(frozen.folder).is_dir():
            return
        waited_for = all(job.status != "planned" for job in self._record.jobs)
        if waited_for or not self._on_slurm:
            release_sweep(frozen, self._paths)
        else:
            leave_to_jobs(frozen, len(self._record.jobs), self._paths.sweep_dir)

    def undo(self) -> None:
        """No job was started: take away the directories that were made for the sweep, innermost first."""
        if self._record.jobs or not self._created:
            return
        self._let_code_go()
        shutil.rmtree(self._paths.queue, ignore_errors=True)
        (self._paths.sweep_dir / "multirun.yaml").unlink(missing_ok=True)  # by Hydra's sweeper
        for directory in (self._paths.record, *self._created):
            with contextlib.suppress(OSError):  # another sweep has come to live there
                directory.rmdir()

    def close(self) -> None:
        """The sweep is over: give Hydra its plugins back, bring the record up to date, tell how it went."""
        if self._closed:
            return
        self._closed = True
        plugins: Any = Plugins.instance()
        plugins.__dict__.pop("instantiate_sweeper", None)
        plugins.__dict__.pop("instantiate_launcher", None)
        core = getattr(self._launcher, "core", self._launcher)
        if hasattr(core, "close"):
            core.close()
        self._let_code_go()
        going_on = self._on_slurm and any(
            job.job_id is not None and job.status == "planned" for job in self._record.jobs
        )
        if not going_on:  # else those jobs are yet to read their configs
            shutil.rmtree(self._paths.queue, ignore_errors=True)
        if not self._paths.sweep.exists():
            return
        if going_on:
            say(told_when_left(self._record, str(self._paths.sweep_dir)))
            return
        self._save(ended_at=utc_now(), findings=[*self._record.findings, *self._ignored_seeds()])
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
        findings: list[Finding] = []
        jobs: list[SweepJob] = []
        places: list[tuple[int, Path | None]] = []
        by_reference = self._start.program is not None
        for number, overrides in zip(numbers, job_overrides, strict=True):
            job_config = loader.compose(config, list(overrides))
            options = self._options_of(job_config)
            seed = self._seed_of(job_config, options, number)
            findings += weakened(options)
            if self._plan.data is not None:
                findings += plan_for_job(self._plan.data, options.data, Path(self._plan.cwd))
            findings += check_env_set(env_set(job_config), self._start.required_for(job_config))
            if self._isolates:
                loader.freeze(job_config, list(overrides), main_by_reference=by_reference)
            directory = job_directory(job_config, number)
            places.append((number, directory))
            if directory is not None:
                findings += self._check_place(directory)
            relative = None if directory is None else os.path.relpath(directory, self._paths.sweep_dir)
            jobs.append(
                SweepJob(num=number, overrides=capture.redacted_argv(overrides), dir=relative, seed=seed)
            )
        findings += shared_directories(places)
        self._settle(findings)
        self._begin()
        self._save(jobs=self._with(jobs))
        self._save(vouch=vouch_sweep(self._paths, self._record, user_key(os.environ)))

    def _check_place(self, directory: Path) -> list[Finding]:
        return check_directory(directory, stamped=False)

    def _with(self, jobs: Sequence[SweepJob]) -> list[SweepJob]:
        """All jobs of the sweep, with `jobs` planned now."""
        return [*self._record.jobs, *jobs]

    def repeats_for(self, config: DictConfig) -> PlainRepeats | None:
        """How each job is repeated; None where it is run once."""
        options = self._options.seed
        configured = select(config, options.key)
        try:
            check_repeats(options.repeats, options.repeats_as)
            if options.repeats == 1:
                return None
            first_seed = choose_seeds(options, configured).seed
        except (BadRepeats, SeedError) as error:
            raise Misuse(str(error)) from None
        return PlainRepeats(
            count=options.repeats,
            first_seed=first_seed,
            seed_override=f"{'++' if configured is None else ''}{options.key}",
            statistic=options.repeats_as,
            metric=self._options.primary_metric,
        )

    def _options_of(self, config: DictConfig) -> ReproConf:
        check_groups(config)
        node = select(config, "hydra.callbacks.repro")
        options = self._options if node is None else options_from(node)
        if options.mode is not self._options.mode:
            raise Misuse(
                f"+repro: expected {self._options.mode.value} for each job, found {options.mode.value}: a mode cannot "
                "be swept. Start one sweep for each"
            )
        return options

    def _seed_of(self, config: DictConfig, options: ReproConf, number: int) -> Any:
        configured = select(config, options.seed.key)
        if not options.seed.set:
            return configured if isinstance(configured, (int, float, str)) else None
        try:
            return choose_seeds(options.seed, configured).seed
        except SeedError as error:
            raise Misuse(f"job {number}: {error}") from None

    def _settle(self, findings: list[Finding]) -> None:
        settled = waive(findings, self._options.allow)
        shared = [
            f
            for f in settled
            if self._isolates and f.waived is None and f.id.startswith("job-directories-shared")
        ]
        stopping = blockers(settled, self._options.mode) or shared
        if stopping:
            raise Refused(stopping, f"{self._options.mode.value} refuses the sweep")
        for finding in settled:
            if finding.severity == "blocks":
                say(f"[{finding.id}] {finding.message} (recorded)")
        self._record = msgspec.structs.replace(self._record, findings=[*self._record.findings, *settled])

    def _begin(self) -> None:
        """Make the sweep's record, before its first job."""
        if self._record.jobs:
            return
        if self._paths.sweep.exists():
            self._put_earlier_aside()
        self._paths.record.mkdir(parents=True, exist_ok=True)
        if self._plan.code is not None:
            write_json(self._paths.code, self._plan.code)
        KeptCode(self._plan.code, self._code_files).write_files(self._paths.record)
        try:
            capture.write_shared_environment(self._paths, capture.environment_of_this_process(self._options))
        except (OSError, ValueError) as error:
            say(f"the list of packages could not be shared ({error}); each job keeps its own")

    def _put_earlier_aside(self) -> None:
        self._paths.earlier.mkdir(exist_ok=True)
        target = self._paths.earlier / uuid.uuid4().hex[:12]
        queue = self._paths.queue
        kept = queue.rename(self._paths.sweep_dir / f".queue-{target.name}") if queue.exists() else None
        self._paths.record.rename(target)
        self._paths.record.mkdir()
        if kept is not None:
            kept.rename(queue)
        say(f"an earlier sweep's record was put aside: {target}")

    @property
    def waits(self) -> bool:
        """Whether this process stays until the jobs have ended."""
        return self._options.wait

    def note_submitted(self, ids: Sequence[str], numbers: Sequence[int]) -> None:
        """Keep what the cluster calls the jobs, so that they can be asked after without this process."""
        names = dict(zip(numbers, ids, strict=True))
        jobs = [
            msgspec.structs.replace(job, job_id=names[job.num]) if job.num in names else job
            for job in self._record.jobs
        ]
        arrays = [*self._record.slurm_job_ids, *(name.partition("_")[0] for name in ids)]
        self._save(jobs=jobs, slurm_job_ids=list(dict.fromkeys(arrays)) if self._on_slurm else [])

    def note_results(self, results: Sequence[JobReturn], numbers: Sequence[int]) -> None:
        """What became of a batch's jobs."""
        ended: dict[int, JobReturn] = dict(zip(numbers, results, strict=False))
        jobs = []
        for job in self._record.jobs:
            result = ended.get(job.num)
            if result is not None and not isinstance(result._return_value, (JobNotStarted, Submitted)):
                completed = result.status is JobStatus.COMPLETED
                job = msgspec.structs.replace(job, status="completed" if completed else "failed")
                self._finish_dead(job, result)
            jobs.append(job)
        self._save(jobs=jobs)

    def _finish_dead(self, job: SweepJob, result: JobReturn) -> None:
        """A job that was killed could not write its own end."""
        error = result._return_value
        if not isinstance(error, (JobDied, RankFailed)) or job.dir is None:
            return
        path = RunPaths(self._paths.sweep_dir / job.dir).run
        try:
            run = read(path, RunRecord)
            if run.status in ("created", "running") or isinstance(error, RankFailed):
                info = ErrorInfo(type=type(error).__name__, message=str(error))
                update(path, {"status": "failed", "error": info, "ended_at": utc_now(), "upheld": "no"})
        except (RecordError, OSError) as problem:
            say(f"job {job.num}: its end could not be recorded ({problem})")

    def _save(self, **changes: Any) -> None:
        self._record = msgspec.structs.replace(self._record, **changes)
        write_json(self._paths.sweep, self._record, durable=True)

    def _ignored_seeds(self) -> list[Finding]:
        from repro_hydra.sweep.ignored_seeds import findings_of_sweep

        found = findings_of_sweep(self._paths.sweep_dir, self._record.jobs, self._options.seed.key)
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


class WatchedSweeper:
    """The user's sweeper, with an end that is noticed also when jobs failed."""

    def __init__(self, inner: Any, door: SweepDoor) -> None:
        self.inner = inner
        self._door = door

    def sweep(self, arguments: list[str]) -> Any:
        try:
            with terminating():
                return self.inner.sweep(arguments)
        except (Refused, Misuse) as error:
            self._door.undo()
            say(str(error))
            raise SystemExit(error.exit_status) from None
        finally:
            self._door.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class WatchedLauncher(Launcher):
    """The launcher that the sweeper sees: plans each batch, and notes what came of it."""

    def __init__(self, inner: Any, door: SweepDoor, loader: FrozenConfigLoader, config: DictConfig) -> None:
        self.inner = inner
        self._door = door
        self._loader = loader
        self._config = config

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        raise RuntimeError("the launcher inside is set up already")

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        repeats = self._door.repeats_for(self._config)
        if repeats is None:
            return self._launch(job_overrides, initial_job_idx)
        try:
            jobs = repeats.expand(job_overrides)
            results = self._launch(jobs, initial_job_idx * repeats.count)
            return repeats.merge(results) if self._door.waits else results
        except BadRepeats as error:
            raise Misuse(str(error)) from None

    def _launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        numbers = range(initial_job_idx, initial_job_idx + len(job_overrides))
        self.plan(job_overrides, numbers)
        with self.submissions(job_overrides, numbers, wait=self._door.waits).watched():
            results: Sequence[JobReturn] = self.inner.launch(job_overrides, initial_job_idx=initial_job_idx)
        self._door.note_results(results, numbers)
        return results

    def uses(self, targets: Sequence[str]) -> bool:
        """Whether the launcher inside is one of these classes."""
        return self._config.hydra.launcher.get("_target_") in targets

    def plan(self, job_overrides: Sequence[Sequence[str]], numbers: Sequence[int]) -> None:
        self._door.plan_jobs(self._loader, self._config, job_overrides, numbers)

    def submissions(
        self, job_overrides: Sequence[Sequence[str]], numbers: Sequence[int], *, wait: bool
    ) -> Submissions:
        """What stands between these jobs and submitit; does nothing for another launcher."""
        return Submissions(
            lambda index: self._loader.load_sweep_config(self._config, list(job_overrides[index])),
            lambda ids: self._door.note_submitted(ids, numbers),
            wait=wait,
            applies=self.uses(SUBMITIT),
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def _isolates_itself(target: str | None) -> bool:
    return bool(target) and str(target).endswith(".ReproLauncher")


def _choice(config: DictConfig, group: str, node: Any) -> str:
    """The chosen option of `group`, as the user would write it; else the class's name."""
    chosen = config.hydra.runtime.choices.get(group)
    if chosen:
        return str(chosen)
    return str(OmegaConf.select(node, "_target_")).rpartition(".")[2]
