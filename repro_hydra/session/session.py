"""A job's whole life: check, seed, make deterministic, capture, run, record, finish. Nothing else does these.

The parts: `ledger` is the run's own record, `owning` how its directory is claimed, `seeding` and `watching` what is
set and watched, `capture` the files that describe what went in, `mirror` the trackers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from repro_hydra.checkpoint.shelf import Kept
from repro_hydra.config import Mode
from repro_hydra.imports import LateImports
from repro_hydra.record.environment import EnvironmentRecord
from repro_hydra.record.manifest import write_manifest
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.schema import JSON, Finding, RunRecord, Severity, Status
from repro_hydra.record.store import write_json
from repro_hydra.record.times import utc_now
from repro_hydra.record.values import flatten_result
from repro_hydra.record.vouch import user_key, vouch
from repro_hydra.seed.drawn import streams_drawn_from
from repro_hydra.session import capture, process
from repro_hydra.session.continuing import Continuation, earlier_s
from repro_hydra.session.datasets import JobData
from repro_hydra.session.ending import terminating
from repro_hydra.session.findings import Misuse, Refused, judge
from repro_hydra.session.heartbeat import Heartbeat
from repro_hydra.session.joblog import JobLog
from repro_hydra.session.ledger import Ledger
from repro_hydra.session.metrics import MetricsLog
from repro_hydra.session.mirror import Mirror
from repro_hydra.session.owning import own
from repro_hydra.session.plan import Job, Plan
from repro_hydra.session.rank_streams import same_streams
from repro_hydra.session.say import say
from repro_hydra.session.seeding import JobSeeds
from repro_hydra.session.watching import Watching

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
        self._pid = os.getpid()
        self._stack = ExitStack()
        self._late = LateImports()
        self._ledger = Ledger(plan, job)
        self._watching = Watching(self._ledger, self._late)
        self._mirror = Mirror(self._ledger, self._log_taken)
        self._seeds: JobSeeds | None = None
        self._metrics: MetricsLog | None = None
        self._data: JobData | None = None
        self._log: JobLog | None = None
        self._claimed = False
        self._returned: Any = None
        self._given: dict[str, JSON] = {}
        self._going_on: Continuation | None = None
        self._repeating = False
        self._clock = 0.0

    @property
    def run(self) -> RunRecord:
        """``run.json`` as it stands."""
        return self._ledger.run

    @property
    def _paths(self) -> RunPaths | None:
        return self._ledger.paths

    # ------------------------------------------------------------------ entering

    def __enter__(self) -> Session:
        try:
            self._enter()
        except BaseException as error:
            self._abandon(error)
            raise
        return self

    def _enter(self) -> None:
        ledger, stack = self._ledger, self._stack
        self._seeds = JobSeeds(ledger)
        self._claim()
        self._open_log()
        self._late.install()
        stack.callback(self._late.remove)
        self._watching.enter(stack, self._seeds.chosen)
        self._write_records()
        ledger.refuse_if_blocked()
        stack.enter_context(terminating())
        if ledger.paths is not None:
            self._watching.watch_inputs(stack)
            stack.enter_context(process.announced(self._job.run_dir))
            so_far = None if self._going_on is None else self._going_on.metrics
            self._metrics = MetricsLog(ledger.paths.metrics, ledger.check_writer_often, so_far)
            stack.callback(self._metrics.close)
        now = utc_now()
        ledger.save(status="running", started_at=self.run.started_at or now, heartbeat_at=now)
        self._mirror.begin(self._late, stack)
        heart = Heartbeat(self._beat)
        heart.start()
        stack.callback(heart.stop)
        _active.append(self)
        stack.callback(_active.remove, self)
        self._clock = time.perf_counter()
        self._step("the run begins", run_id=self.run.run_id, mode=self._plan.mode.value, host=self.run.host)
        if self._seeds.chosen is not None:
            self._step("seeds are set", seed=self._seeds.chosen.seed)
        # Last, so that nothing of ours draws from a seeded generator.
        self._watching.began(self._seeds.put_in_force(self._late, stack))

    def _claim(self) -> None:
        found = own(self._ledger)
        self._claimed = True
        if found is not None:
            self._going_on = found
            self._repeating = found.kept is not None
            self._given = found.given

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
        paths, plan, job, keep = self._paths, self._plan, self._job, self._ledger.keep
        keep("config", lambda: capture.write_config(paths, plan, job))
        keep("code", lambda: capture.write_code(paths, plan))
        environment = keep(
            "environment", lambda: capture.write_environment(paths, plan, job, self._environment)
        )
        self._ledger.findings += environment or []
        keep("determinism", self._write_settings)
        keep("data", self._look_at_data)

    def _write_settings(self) -> None:
        if self._paths is not None:
            write_json(self._paths.determinism, self._watching.settings())

    def _look_at_data(self) -> None:
        self._data = JobData(self._plan.data, self._plan.options.data, Path(self._plan.cwd))
        self._ledger.findings += self._data.findings
        self._write_data()

    def _write_data(self) -> None:
        if self._data is not None and self._paths is not None:
            write_json(self._paths.data, self._data.record)

    # ------------------------------------------------------------------ while it runs

    def owns_process(self) -> bool:
        return os.getpid() == self._pid

    def _beat(self) -> None:
        self._watching.look()
        self._ledger.save(heartbeat_at=utc_now())

    def returned(self, value: Any) -> None:
        """What the task returned."""
        self._returned = value

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        if self._metrics is not None and not self._repeating:
            number = self._metrics.log(metrics, step)
            if self._log is not None and self._log.logs_steps:
                told = {f"metric.{name}": value for name, value in metrics.items()}
                self._step("metrics", step=number, **told)

    def _log_taken(self, metrics: Mapping[str, Any], step: int | None) -> None:
        if self._metrics is not None and self.owns_process():
            self.log_metrics(metrics, step)

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
        self._ledger.keep("data", self._write_data)
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
        if finding not in self._ledger.findings:
            self._ledger.findings.append(finding)
            say(f"[{finding.id}] {message}")

    def add_finding(self, finding: Finding) -> None:
        self._ledger.findings.append(finding)

    # ------------------------------------------------------------------ leaving

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.owns_process():  # a forked child that unwinds through here
            return
        ledger = self._ledger
        ledger.check_writer()
        duration_s = earlier_s(self.run) + time.perf_counter() - self._clock
        if self._repeating and ledger.ending(error)[0] == "completed":  # else interrupted on its way there
            ledger.findings.append(_never_reached())
        self._watching.leave(error)
        ledger.findings = ledger.as_shown(ledger.findings)
        status, info = ledger.ending(error)
        for finding in ledger.findings:
            self._step("finding", id=finding.id, severity=finding.severity, message=finding.message)
        self._step("the run ends", status=status, duration_s=duration_s)
        self._stack.close()
        self._wait_for_ranks(status)
        # A task that only ran is no reason to lose its result: whatever fails from here on becomes a finding.
        if status == "completed":
            ledger.keep("result", self._write_result)
        self._finish_data(hurry=_in_a_hurry(status))
        ledger.keep("determinism", self._write_settings)
        ledger.settle()
        ended = {"status": status, "error": info, "ended_at": utc_now(), "duration_s": duration_s}
        ledger.keep("run", lambda: ledger.save(durable=True, **ended, **self._told_at_the_end()))
        digest = self._seal(status)
        ledger.give_back()
        self._tell(digest)
        self._mirror.finish(hurry=_in_a_hurry(status))

    def _told_at_the_end(self) -> dict[str, Any]:
        return {
            "peak_memory_bytes": process.peak_memory_bytes(),
            "seeds": {} if self._seeds is None else self._seeds.set,
            "processes": self._watching.processes(),
            "upheld": judge(self._ledger.findings, self._plan.mode),
        }

    def _wait_for_ranks(self, status: Status) -> None:
        if self._paths is not None and self.run.world_size > 1 and status == "completed":
            # `sbatch --ntasks=2` without `srun` also looks like two ranks, of which there is one.
            others = self.run.world_size - 1 if "SUBMITIT_EXECUTOR" in os.environ else 0
            capture.wait_for_ranks(self.run, self._paths, others)
            self._ledger.findings += self._ledger.keep("streams", self._shared_with_ranks) or []

    def _shared_with_ranks(self) -> list[Finding]:
        options = self._plan.options.seed
        if self._paths is None or not options.set or options.ranks_alike:
            return []
        return same_streams(streams_drawn_from(), self._paths, self._ledger.findings)

    def _finish_data(self, *, hurry: bool) -> None:
        data, ledger = self._data, self._ledger
        if data is None:
            return
        ledger.findings += ledger.keep("data", data.changed) or []

        def write() -> None:
            data.record = self._watching.inputs_into(data.record, hurry=hurry)
            self._write_data()

        ledger.keep("inputs", write)

    def _write_result(self) -> None:
        values, left_out = flatten_result(self._returned)
        if not values:
            values = dict(self._given) if self._given else dict(self._metrics.last if self._metrics else {})
        elif self._given:
            values = values | self._given
        for reason in left_out:
            self._ledger.findings.append(
                Finding(id=f"result-left-out:{reason.split(':')[0]}", severity="harmless", message=reason)
            )
        if self._paths is not None:
            write_json(self._paths.result, values, durable=True)

    def _seal(self, status: Status) -> str | None:
        """The last files of the record; the manifest's digest."""
        ledger, paths = self._ledger, self._paths
        failed_ranks = [p for p in capture.processes_of(self.run, paths) if p.error is not None]
        if status == "completed" and failed_ranks:  # read after this end was written: see ChildSession
            ledger.keep("run", lambda: ledger.save(durable=True, **capture.failed_by(failed_ranks[0])))
        if paths is None:
            return None
        ledger.keep("vouch", lambda: vouch(paths, self.run.run_id, user_key(os.environ)))
        digest: str | None = ledger.keep("manifest", partial(write_manifest, paths))
        return digest

    def _abandon(self, error: BaseException) -> None:
        """The job never began: say so in the record, and give everything back."""
        ledger = self._ledger
        self._stack.close()
        if self._paths is None or not self._claimed:  # a record there is another's
            ledger.give_back()
            return
        status, info = ledger.ending(error)
        if isinstance(error, (Refused, Misuse)) and info is not None:
            info = msgspec.structs.replace(info, traceback=None)
        ledger.settle()
        ended = {
            "status": "failed" if status == "completed" else status,
            "error": info,
            "ended_at": utc_now(),
            "upheld": judge(ledger.findings, self._plan.mode),
        }
        ledger.keep("run", lambda: ledger.save(durable=True, **ended))
        ledger.give_back()

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


def _in_a_hurry(status: Status) -> bool:
    """Whoever told the job to end will not wait long."""
    return status in ("interrupted", "preempted")


def _never_reached() -> Finding:
    return Finding(
        id="resume-not-reached",
        severity="may_change_bits",
        message=(
            "the run was to go on from a checkpoint, and the task never came to the loop that made it: expected "
            "the same repro_hydra.resumable(…) as before"
        ),
    )
