"""A job's whole life: check, seed, make deterministic, capture, run, record, finish. Nothing else does these."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from repro_hydra.audit import SeedingAudit
from repro_hydra.checkpoint.shelf import Kept
from repro_hydra.code.findings import CODE_CHANGED
from repro_hydra.code.unfrozen import changes_since
from repro_hydra.config import Mode
from repro_hydra.determinism import SettingsWatch
from repro_hydra.determinism.operators import refused_operator
from repro_hydra.imports import LateImports
from repro_hydra.record.environment import EnvironmentRecord
from repro_hydra.record.manifest import write_manifest
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.schema import (
    JSON,
    SEEDED,
    ErrorInfo,
    Finding,
    ProcessInfo,
    RunRecord,
    Severity,
    Status,
    SweepLink,
)
from repro_hydra.record.store import write_json
from repro_hydra.record.times import utc_now
from repro_hydra.record.values import flatten_result
from repro_hydra.record.vouch import user_key, vouch
from repro_hydra.seed import (
    ChosenSeeds,
    SeedError,
    choose_seeds,
    read_back,
    set_numpy,
    set_python,
    set_tensorflow,
    set_torch,
)
from repro_hydra.seed.streams import streams_of
from repro_hydra.session import capture, process
from repro_hydra.session.claim import check_not_running, claim_record
from repro_hydra.session.continuing import (
    NOT_THE_SAME,
    Continuation,
    continuation_of,
    differences,
    earlier_attempt,
    earlier_s,
    make_way,
)
from repro_hydra.session.datasets import JobData
from repro_hydra.session.ending import ending, terminating
from repro_hydra.session.findings import (
    NOT_BEGUN,
    Misuse,
    Refused,
    blockers,
    how_to_waive,
    judge,
    waive,
    waived_ids,
    waived_operators,
)
from repro_hydra.session.heartbeat import Heartbeat
from repro_hydra.session.inputs import JobInputs, JobPlaces
from repro_hydra.session.joblog import JobLog
from repro_hydra.session.lock import NO_LINKS, Held, WriterLock
from repro_hydra.session.metrics import MetricsLog
from repro_hydra.session.plan import Job, Plan
from repro_hydra.session.promise import weakened
from repro_hydra.session.say import say
from repro_hydra.session.spawned import Inheritance, SpawnedChildren
from repro_hydra.tracking.beside import TrackersBeside
from repro_hydra.tracking.taken import TakenMetrics

_active: list[Session] = []


def active_session() -> Session | None:
    """The session that this process is in, if any; a forked child is not in its parent's."""
    return _active[-1] if _active and _active[-1].owns_process() else None


class Session:
    """The context manager around a job.

    Parameters
    ----------
    plan : Plan
        What was decided before: options, captured code, findings so far.
    job : Job
        This job: its directory, its config, its overrides.
    environment : EnvironmentRecord, optional
        Captured already, by the clean process that this one was forked from.

    Raises
    ------
    Refused
        On entry, in strict, when something blocks. The task has not begun.
    Misuse
        On entry, for a seed that is none.
    """

    def __init__(self, plan: Plan, job: Job, *, environment: EnvironmentRecord | None = None) -> None:
        self._plan = plan
        self._job = job
        self._environment = environment
        self._paths: RunPaths | None = RunPaths(job.run_dir)
        self._pid = os.getpid()
        self._stack = ExitStack()
        self._late = LateImports()
        start = plan.cwd or os.getcwd()  # noqa: PTH109
        waived = waived_operators(plan.options.allow)
        self._watch = SettingsWatch(plan.options.determinism, self._late.when_imported, start, waived)
        audited = plan.mode is not Mode.record
        self._audit = SeedingAudit(self._late.when_imported, start) if audited else None
        self._findings: list[Finding] = list(plan.findings)
        self._children: SpawnedChildren | None = None
        self._metrics: MetricsLog | None = None
        self._data: JobData | None = None
        self._inputs: JobInputs | None = None
        self._trackers: TrackersBeside | None = None
        self._log: JobLog | None = None
        self._lock: WriterLock | None = None
        self._claimed = False
        self._returned: Any = None
        self._given: dict[str, JSON] = {}
        self._going_on: Continuation | None = None
        self._repeating = False
        self._seeds: dict[str, int | None] = dict.fromkeys(SEEDED)
        self._clock = 0.0
        self.run = self._first_run()

    # ------------------------------------------------------------------ entering

    def __enter__(self) -> Session:
        try:
            self._enter()
        except BaseException as error:
            self._abandon(error)
            raise
        return self

    def _enter(self) -> None:
        chosen = self._choose_seeds()
        self._claim()
        if not process.is_fresh() and self._plan.must_be_fresh:
            self._findings.append(_not_fresh())
        self._open_log()
        self._late.install()
        self._stack.callback(self._late.remove)
        if self._audit is not None:
            self._stack.callback(self._audit.stop)
            unrecorded = capture.unrecorded_variables(self._plan.options)
            self._keep(
                "audit",
                partial(self._audit.enter, fresh=process.is_fresh(), is_unrecorded=unrecorded),
            )
        process.note_job()
        self._keep("determinism", self._watch.enter)
        self._stack.callback(self._watch.stop)
        self._hand_on(chosen)
        self._findings += [*self._watch.entry_findings(), *weakened(self._plan.options)]
        self._keep("code", self._look_at_code)
        self._write_records()
        self._refuse_if_blocked()
        self._stack.enter_context(terminating())
        if self._paths is not None:
            self._watch_inputs()
            self._stack.enter_context(process.announced(self._job.run_dir))
            so_far = None if self._going_on is None else self._going_on.metrics
            self._metrics = MetricsLog(self._paths.metrics, self._check_writer, so_far)
            self._stack.callback(self._metrics.close)
        now = utc_now()
        self._save(status="running", started_at=self.run.started_at or now, heartbeat_at=now)
        self._mirror()
        heart = Heartbeat(self._beat)
        heart.start()
        self._stack.callback(heart.stop)
        _active.append(self)
        self._stack.callback(_active.remove, self)
        self._clock = time.perf_counter()
        self._step("the run begins", run_id=self.run.run_id, mode=self._plan.mode.value, host=self.run.host)
        if chosen is not None:
            self._stack.enter_context(streams_of(chosen.seed, self.run.rank))
            self._step("seeds are set", seed=chosen.seed)
            self._seed(chosen)  # last, so that nothing of ours draws from a seeded generator

    def _choose_seeds(self) -> ChosenSeeds | None:
        options = self._plan.options.seed
        configured = self._job.configured_seed(options.key)
        if not options.set:
            self.run = msgspec.structs.replace(self.run, seed=_plain(configured), seed_set=False)
            return None
        try:
            chosen = choose_seeds(options, configured, rank=self.run.rank)
        except SeedError as error:
            raise Misuse(str(error)) from None
        if chosen.defaulted:
            self._findings.append(
                Finding(
                    id="seed-defaulted",
                    severity="harmless",
                    message=(
                        f"{options.key}: the config has no seed there, so the default {chosen.seed} is set. "
                        f"Give one: +{options.key}=0, or name its key: hydra.callbacks.repro.seed.key=KEY"
                    ),
                )
            )
        self.run = msgspec.structs.replace(self.run, seed=chosen.seed, seed_set=True)
        return chosen

    def _seed(self, chosen: ChosenSeeds) -> None:
        """Seed what is imported now and the rest when it is; record what each library answers."""

        def seed(library: str, setter: Callable[[ChosenSeeds], None]) -> None:
            setter(chosen)
            self._seeds |= {
                name: value for name, value in read_back(chosen).items() if name in _SEEDED[library]
            }

        seed("python", set_python)
        self._late.when_imported("numpy", partial(seed, "numpy", set_numpy))
        self._late.when_imported("torch", partial(seed, "torch", set_torch))
        self._late.when_imported("tensorflow", partial(seed, "tensorflow", set_tensorflow))
        self._save(seeds=self._seeds)
        if self._audit is not None:
            self._audit.began({chosen.seed, chosen.python, chosen.numpy, chosen.torch, chosen.cuda})

    def _hand_on(self, chosen: ChosenSeeds | None) -> None:
        """What multiprocessing starts anew gets the settings again."""
        if self._plan.mode is Mode.record:
            return
        inheritance = Inheritance(
            determinism=self._plan.options.determinism,
            start=self._plan.cwd,
            seed=None if chosen is None else chosen.seed,
            rank=self.run.rank,
        )
        self._children = SpawnedChildren(inheritance)
        self._stack.callback(self._children.remove)
        self._keep("children", partial(self._children.install, self._late.when_imported))

    def _claim(self) -> None:
        assert self._paths is not None
        try:
            self._paths.run_dir.mkdir(parents=True, exist_ok=True)
            self._become_writer()
            earlier = earlier_attempt(self._paths, self._plan, self._job)
            if earlier is not None:
                self._go_on(self._paths, earlier)
            elif (kept := claim_record(self._paths)) is not None:
                say(f"an earlier run's record in {self._job.run_dir} was put aside: {kept}")
            self._claimed = True
            self._save()
        except (FileExistsError, Held) as error:
            raise Misuse(str(error)) from None
        except OSError as error:
            self._lose_record(error)

    def _go_on(self, paths: RunPaths, earlier: RunRecord) -> None:
        """This is another attempt at the run of `earlier`."""
        if self._lock is None:  # else nobody else is at it
            check_not_running(paths, earlier)
        self._findings = waive(
            [*self._findings, *differences(paths, self._plan, self._job)], self._plan.options.allow
        )
        stopping = [f for f in self._findings if f.id.startswith(NOT_THE_SAME) and f.waived is None]
        if stopping:
            raise Refused(stopping, "the run cannot be continued", NOT_BEGUN)
        found = continuation_of(paths, earlier)
        aside = make_way(paths, found)
        self._going_on = found
        self._repeating = found.kept is not None
        self._given = found.given
        self._findings = [*earlier.findings, *self._findings]
        self.run = found.run(self.run)
        where = "from the top" if found.kept is None else f"from its checkpoint {found.kept.path.name}"
        say(f"run {self.run.run_id[:8]} goes on {where}; what its last attempt left aside: {aside}")

    def _become_writer(self) -> None:
        lock = WriterLock(self._job.run_dir, os.environ)
        try:
            lock.acquire()
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            message = (
                f"{self._job.run_dir}: nothing keeps a second process from writing there, since its file system "
                f"has no hard links ({error.strerror})"
            )
            self._findings.append(Finding(id="no-writer-lock", severity="blocks", message=message))
            return
        self._lock = lock
        if lock.replaced is not None:
            say(f"{self._job.run_dir}: taken over from {lock.replaced}")

    def _give_back(self) -> None:
        if self._lock is not None:
            self._keep("lock", self._lock.release)

    def _lose_record(self, error: OSError) -> None:
        message = f"{self._job.run_dir}: the record cannot be written ({error.strerror or error})"
        finding = Finding(id="record-not-written", severity="blocks", message=message)
        self._findings = waive([*self._findings, finding], self._plan.options.allow)
        self._paths = None
        self._refuse_if_blocked()
        say(f"{message}; the run goes on without one")

    def _open_log(self) -> None:
        if self._paths is None:
            return
        log = JobLog(self._plan.options.logging, self._job.run_dir, self._job.name or "run")
        try:
            self._log = self._stack.enter_context(log)
        except OSError as error:
            say(f"{self._job.run_dir}: the log cannot be written ({error.strerror or error})")

    def _step(self, what: str, **data: Any) -> None:
        if self._log is not None:
            self._log.step(what, data)

    def _write_records(self) -> None:
        if self._paths is None:
            return
        paths, plan, job = self._paths, self._plan, self._job
        self._keep("config", lambda: capture.write_config(paths, plan, job))
        self._keep("code", lambda: capture.write_code(paths, plan))
        self._findings += (
            self._keep("environment", lambda: capture.write_environment(paths, plan, job, self._environment))
            or []
        )
        self._keep("determinism", lambda: write_json(paths.determinism, self._watch.record()))
        self._keep("data", self._look_at_data)

    def _mirror(self) -> None:
        """Have what is recorded sent to the trackers, and what the task sends them recorded."""
        options = self._plan.options
        if self._paths is None:
            return
        if options.take_metrics:
            taken = TakenMetrics(self._log_taken)
            self._keep("take_metrics", lambda: taken.install(self._late.when_imported))
            self._stack.callback(taken.remove)
        if options.tracking:
            try:
                self._trackers = TrackersBeside(self._job.run_dir, options.tracking, self._plan.cwd)
            except OSError as error:
                say(
                    f"the trackers were not started: {error}. Run: repro-hydra track sync {self._job.run_dir}"
                )

    def _log_taken(self, metrics: Mapping[str, Any], step: int | None) -> None:
        if self._metrics is not None and self.owns_process():
            self.log_metrics(metrics, step)

    def _look_at_data(self) -> None:
        self._data = JobData(self._plan.data, self._plan.options.data, Path(self._plan.cwd))
        self._findings += self._data.findings
        self._write_data()

    def _watch_inputs(self) -> None:
        if self._plan.mode is Mode.record:
            return
        frozen = self._plan.frozen
        places = JobPlaces(
            run_dir=self._job.run_dir,
            cwd=Path(self._plan.cwd),
            config_dirs=self._job.config_dirs,
            moved={} if frozen is None else {one.tree: one.top for one in frozen.all},
            code_taken_ns=self._plan.code_taken_ns,
        )
        self._inputs = JobInputs(places, os.environ)
        self._stack.callback(self._inputs.stop)
        self._keep("inputs", partial(self._inputs.begin, self._late.when_imported))

    def _beat(self) -> None:
        if self._inputs is not None:
            self._inputs.look()
        self._save(heartbeat_at=utc_now())

    def _report_inputs(self, hurry: bool) -> None:
        if self._inputs is None or self._data is None:
            return
        self._data.record, findings = self._inputs.report(
            self._data.record, self._plan.code, root=self._plan.options.data.root, hurry=hurry
        )
        self._findings += findings
        self._write_data()

    def _write_data(self) -> None:
        if self._data is not None and self._paths is not None:
            write_json(self._paths.data, self._data.record)

    def _refuse_if_blocked(self) -> None:
        self._findings = waive(self._as_shown(self._findings), self._plan.options.allow)
        blocking = blockers(self._findings, self._plan.mode)
        if self._plan.must_be_fresh and not blocking:
            # In every mode that isolates: a sweep of two codes is not what somebody asked for.
            blocking = [f for f in self._findings if f.id.startswith(CODE_CHANGED) and f.waived is None]
        if blocking:
            what = f"{self._plan.mode.value} refuses {self._job.name or 'this job'}"
            raise Refused(blocking, what, NOT_BEGUN)

    # ------------------------------------------------------------------ while it runs

    def owns_process(self) -> bool:
        return os.getpid() == self._pid

    def _check_writer(self) -> None:
        """Ends this process where another has taken the run directory over."""
        if self._lock is not None:
            self._lock.check()

    def returned(self, value: Any) -> None:
        """What the task returned."""
        self._returned = value

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        if self._metrics is not None and not self._repeating:
            number = self._metrics.log(metrics, step)
            self._step("metrics", step=number, **{f"metric.{name}": value for name, value in metrics.items()})

    def log_result(self, result: Mapping[str, Any]) -> None:
        values, left_out = flatten_result(result)
        if left_out:
            raise ValueError(f"log_result: {'; '.join(left_out)}")
        self._given |= values

    def dataset(self, path: str | Path, name: str | None = None) -> Path:
        """Declare an input from within the task; see `repro_hydra.dataset`."""
        if self._data is None:  # the record could not be written, and strict would not have begun
            return Path(self._plan.cwd) / Path(path).expanduser()
        place = self._data.declare(path, name)
        self._keep("data", self._write_data)
        return place

    @property
    def checkpoints(self) -> Path | None:
        """Where the checkpoints of this run are; None where it has no record."""
        return None if self._paths is None else self._paths.checkpoints

    def parts_for_checkpoint(self) -> dict[str, JSON]:
        """What of the record belongs to a checkpoint: the metrics so far, and the results given."""
        parts: dict[str, JSON] = {"given": dict(self._given)}
        if self._metrics is not None:
            parts["metrics"] = msgspec.to_builtins(self._metrics.so_far())
        return parts

    def continued_from(self, kept: Kept) -> None:
        """A loop goes on from `kept`. Once that is the newest, no line of the task runs a second time any more."""
        newest = None if self._going_on is None else self._going_on.kept
        if newest is not None and newest.number == kept.number:
            self._repeating = False

    def note_not_exact(self, what: str, message: str) -> None:
        """A restart would not be exact, or was not: said once, and held against the result only after one."""
        severity: Severity = "may_change_bits" if self._going_on and self._going_on.kept else "harmless"
        finding = Finding(id=f"not-resumable:{what}", severity=severity, message=message)
        if finding not in self._findings:
            self._findings.append(finding)
            say(f"[{finding.id}] {message}")

    def add_finding(self, finding: Finding) -> None:
        self._findings.append(finding)

    # ------------------------------------------------------------------ leaving

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.owns_process():  # a forked child that unwinds through here
            return
        self._check_writer()
        duration_s = earlier_s(self.run) + time.perf_counter() - self._clock
        if error is not None:
            self._name_refused_operator(error)
        if self._repeating and ending(error)[0] == "completed":  # else it was interrupted on its way there
            self._findings.append(_never_reached())
        self._keep("determinism", self._watch.probe_exit)
        self._findings += self._watch.change_findings()
        self._findings += [] if self._children is None else self._children.findings()
        if self._audit is not None:
            self._findings += self._keep("audit", self._audit.findings) or []
        self._keep("code", lambda: self._look_at_code("may_change_bits"))
        self._findings = self._as_shown(self._findings)
        status, info = self._ending(error)
        for finding in self._findings:
            self._step("finding", id=finding.id, severity=finding.severity, message=finding.message)
        self._step("the run ends", status=status, duration_s=duration_s)
        self._stack.close()
        if self._paths is not None and self.run.world_size > 1 and status == "completed":
            # `sbatch --ntasks=2` without `srun` also looks like two ranks, of which there is one.
            others = self.run.world_size - 1 if "SUBMITIT_EXECUTOR" in os.environ else 0
            capture.wait_for_ranks(self.run, self._paths, others)
        # A task that only ran is no reason to lose its result: whatever fails from here on becomes a finding.
        if status == "completed":
            self._keep("result", self._write_result)
        paths = self._paths
        if self._data is not None:
            self._findings += self._keep("data", self._data.changed) or []
        self._keep("inputs", partial(self._report_inputs, status in ("interrupted", "preempted")))
        if paths is not None:
            self._keep("determinism", lambda: write_json(paths.determinism, self._watch.record()))
        self._findings = waive(self._as_shown(self._findings), self._plan.options.allow)
        self._keep(
            "run",
            lambda: self._save(
                durable=True,
                status=status,
                error=info,
                ended_at=utc_now(),
                duration_s=duration_s,
                peak_memory_bytes=process.peak_memory_bytes(),
                seeds=self._seeds,
                processes=self._processes(),
                upheld=judge(self._findings, self._plan.mode),
            ),
        )
        digest = None
        failed_ranks = [p for p in capture.processes_of(self.run, paths) if p.error is not None]
        if status == "completed" and failed_ranks:  # read after this end was written: see ChildSession
            self._keep("run", lambda: self._save(durable=True, **capture.failed_by(failed_ranks[0])))
        if paths is not None:
            self._keep("vouch", lambda: vouch(paths, self.run.run_id, user_key(os.environ)))
            digest = self._keep("manifest", lambda: write_manifest(paths))
        self._give_back()
        self._tell(digest)
        if self._trackers is not None:
            for line in self._trackers.finish(hurry=status in ("interrupted", "preempted")):
                say(line)

    def _name_refused_operator(self, error: BaseException) -> None:
        """Where torch refused an operator, say what to do in the place of torch's own advice."""
        refused = refused_operator(error, self._plan.cwd)
        if refused is not None:
            cause, finding = refused
            (finding,) = self._as_shown([finding])
            self._findings.append(finding)
            cause.args = (f"{finding.message}: {how_to_waive(finding)}",)

    def _processes(self) -> list[ProcessInfo]:
        """The job's own, those that attached themselves, and those that told what they opened."""
        attached = capture.processes_of(self.run, self._paths)
        known = {info.pid for info in attached}
        more = self._inputs.processes() if self._inputs is not None else []
        return [*attached, *(info for info in more if info.pid not in known)]

    def _ending(self, error: BaseException | None) -> tuple[Status, ErrorInfo | None]:
        status, info = ending(error)
        frozen = self._plan.frozen
        if frozen is not None and info is not None:
            trace = info.traceback and frozen.absolute(info.traceback)
            info = msgspec.structs.replace(info, message=frozen.absolute(info.message), traceback=trace)
        return status, info

    def _as_shown(self, findings: Sequence[Finding]) -> list[Finding]:
        """With the user's paths, where the job runs a frozen copy of the code."""
        frozen, start = self._plan.frozen, self._plan.cwd
        if frozen is None:
            return list(findings)
        return [
            msgspec.structs.replace(
                finding,
                id=frozen.shown(finding.id, start),
                message=frozen.shown(finding.message, start),
                file=finding.file and frozen.shown(finding.file, start),
            )
            for finding in findings
        ]

    def _look_at_code(self, severity: Severity = "blocks") -> None:
        """Find what differs, for a job of a sweep in place, from the code that the sweep began with."""
        if self._plan.code_at_start is not None:
            known = {finding.id for finding in self._findings}
            changed = changes_since(Path(self._plan.code_at_start), severity, environ=os.environ)
            self._findings += [finding for finding in changed if finding.id not in known]

    def _write_result(self) -> None:
        values, left_out = flatten_result(self._returned)
        if not values:
            values = dict(self._given) if self._given else dict(self._metrics.last if self._metrics else {})
        elif self._given:
            values = values | self._given
        for reason in left_out:
            self._findings.append(
                Finding(id=f"result-left-out:{reason.split(':')[0]}", severity="harmless", message=reason)
            )
        if self._paths is not None:
            write_json(self._paths.result, values, durable=True)

    def _abandon(self, error: BaseException) -> None:
        """The job never began: say so in the record, and give everything back."""
        self._stack.close()
        if self._paths is None or not self._claimed:  # a record there is another's
            self._give_back()
            return
        status, info = self._ending(error)
        if isinstance(error, (Refused, Misuse)) and info is not None:
            info = msgspec.structs.replace(info, traceback=None)
        self._findings = waive(self._as_shown(self._findings), self._plan.options.allow)
        self._keep(
            "run",
            lambda: self._save(
                durable=True,
                status="failed" if status == "completed" else status,
                error=info,
                ended_at=utc_now(),
                upheld=judge(self._findings, self._plan.mode),
            ),
        )
        self._give_back()

    def _tell(self, digest: str | None) -> None:
        run = self.run
        serious = [f for f in run.findings if f.severity != "harmless" and f.waived is None]
        for finding in serious:
            say(f"[{finding.id}] {finding.message}")
        if self._paths is None:
            return
        words = f"{run.status}"
        if self._plan.mode is Mode.strict:
            words += f", upheld: {run.upheld}"
        anchor = f", manifest blake3:{digest}" if digest else ""
        say(f"{words}; record {self._paths.record}{anchor}")

    # ------------------------------------------------------------------ the record

    def _first_run(self) -> RunRecord:
        plan, job = self._plan, self._job
        rank, world = process.rank_and_world(os.environ)
        sweep = None
        if plan.sweep is not None:
            sweep = SweepLink(id=plan.sweep.sweep_id, dir=plan.sweep.sweep_dir, job_num=job.num or 0)
        now = utc_now()
        return RunRecord(
            run_id=uuid.uuid4().hex,
            name=plan.options.name,
            tags=list(plan.options.tags),
            note=plan.options.note,
            mode=plan.mode.value,
            status="created",
            upheld="no" if plan.mode is Mode.strict else "not_promised",
            created_at=now,
            heartbeat_at=now,
            argv=capture.redacted_argv(plan.argv),
            cwd=plan.cwd,
            overrides=capture.redacted_argv(job.overrides),
            python=capture.python_version(),
            host=process.host(),
            user=process.user(),
            pid=os.getpid(),
            pid_started_at=process.started_at(),
            rank=rank,
            world_size=world,
            launcher=plan.launcher,
            sweep=sweep,
            slurm=capture.slurm_facts(os.environ),
            parent_run_id=None if plan.recorded is None else plan.recorded.run_id,
            primary_metric=plan.options.primary_metric,
            task=job.name,
            entry=plan.entry,
        )

    def _save(self, *, durable: bool = False, **changes: Any) -> None:
        """Bring ``run.json`` up to date."""
        self.run = msgspec.structs.replace(
            self.run, findings=list(self._findings), waived=waived_ids(self._findings), **changes
        )
        if self._paths is not None:
            self._check_writer()
            write_json(self._paths.run, self.run, durable=durable)

    def _keep(self, what: str, action: Callable[[], Any]) -> Any:
        """Do a piece of bookkeeping. Where it fails the run is told, in strict it does not start."""
        try:
            return action()
        except (Refused, Misuse):
            raise
        except Exception as error:  # noqa: BLE001 (whatever of ours fails must not cost the user's result)
            finding = Finding(
                id=f"bookkeeping-failed:{what}",
                severity="blocks",
                message=f"{what}: could not be recorded ({type(error).__name__}: {error})",
            )
            self._findings.append(finding)
            say(f"[{finding.id}] {finding.message}")
            return None


_SEEDED = {"python": ("python",), "numpy": ("numpy",), "torch": ("torch", "cuda"), "tensorflow": ()}


def _plain(value: Any) -> JSON:
    return value if isinstance(value, (int, float, str, bool)) or value is None else str(value)


def _never_reached() -> Finding:
    return Finding(
        id="resume-not-reached",
        severity="may_change_bits",
        message=(
            "the run was to go on from a checkpoint, and the task never came to the loop that made it: expected "
            "the same repro_hydra.resumable(…) as before"
        ),
    )


def _not_fresh() -> Finding:
    return Finding(
        id="process-not-fresh",
        severity="may_change_bits",
        message=(
            "a job ran in this process before this one, which is therefore not isolated from what that left "
            "behind. Start each @hydra.main function in a process of its own"
        ),
    )
