"""A job's whole life: check, seed, make deterministic, capture, run, record, finish. Nothing else does these.

What happens when stands here; what is done is elsewhere. Each concern of a job is an object of its own over the run's
`ledger`, made in ``__init__``, begun in ``_enter`` and finished in ``__exit__``: `attempt` claims the directory and
goes on with an earlier run, `seeding` and `watching` are what is set and watched, `data_file` the datasets, `results`
what the task tells, `fingerprints` what its steps consist of, `mirror` the trackers. `capture` writes what went in,
and `closing` closes the record.
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

from repro_hydra.checkpoint.shelf import Kept
from repro_hydra.imports import LateImports
from repro_hydra.record.environment import EnvironmentRecord
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.schema import JSON, RunRecord
from repro_hydra.record.store import write_json
from repro_hydra.record.times import utc_now
from repro_hydra.session import capture, closing, process
from repro_hydra.session.attempt import Attempt
from repro_hydra.session.continuing import earlier_s
from repro_hydra.session.data_file import DataFile
from repro_hydra.session.ending import ending_first, terminating
from repro_hydra.session.findings import judge
from repro_hydra.session.fingerprints import JobFingerprints
from repro_hydra.session.heartbeat import Heartbeat
from repro_hydra.session.joblog import JobLog
from repro_hydra.session.ledger import Ledger
from repro_hydra.session.mirror import Mirror
from repro_hydra.session.plan import Job, Plan
from repro_hydra.session.results import JobResults
from repro_hydra.session.say import say
from repro_hydra.session.seeding import JobSeeds
from repro_hydra.session.watching import Watching

_active: list[Session] = []
if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    # A training asks at each of its steps: to compare process ids there costs an eighth of a line of metrics.
    os.register_at_fork(after_in_child=_active.clear)


def active_session() -> Session | None:
    """The session that this process is in, if any; a forked child is not in its parent's."""
    return _active[-1] if _active else None


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
        self._signals = ExitStack()
        """Closed last: a signal that comes while the end is written is told to the same handler."""
        self._late = LateImports()
        self._ledger = Ledger(plan, job)
        self._watching = Watching(self._ledger, self._late)
        self._attempt = Attempt(self._ledger)
        self._data = DataFile(self._ledger)
        self._results = JobResults(self._ledger, self._attempt)
        self._fingerprints = JobFingerprints(self._ledger, self._attempt)
        self._mirror = Mirror(self._ledger, self._log_taken)
        self._seeds: JobSeeds | None = None  # chosen on entry, which a seed that is none ends
        self._log: JobLog | None = None
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
        self._attempt.claim()
        self._open_log()
        self._late.install()
        stack.callback(self._late.remove)
        self._watching.enter(stack, self._seeds.chosen)
        self._write_records()
        ledger.refuse_if_blocked()
        self._signals.enter_context(terminating())
        # The job begins: concerns that only watch or write begin here, and leave with the stack or are finished below.
        if ledger.paths is not None:
            self._watching.watch_inputs(stack)
            stack.enter_context(process.announced(self._job.run_dir))
        self._results.begin(stack, self._log)
        self._fingerprints.begin(stack, self._late)
        now = utc_now()
        ledger.save(status="running", started_at=self.run.started_at or now, heartbeat_at=now)
        self._mirror.begin(self._late, stack)
        heart = Heartbeat(self._beat)
        heart.start()
        stack.callback(heart.stop)
        _active.append(self)
        stack.callback(self._leave)
        self._clock = time.perf_counter()
        self._step("the run begins", run_id=self.run.run_id, mode=self._plan.mode.value, host=self.run.host)
        if self._seeds.chosen is not None:
            self._step("seeds are set", seed=self._seeds.chosen.seed)
        # Last, so that nothing of ours draws from a seeded generator.
        self._watching.began(self._seeds.put_in_force(self._late, stack))

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
        self._ledger.findings += keep("config", lambda: capture.write_config(paths, plan, job)) or []
        keep("code", lambda: capture.write_code(paths, plan))
        environment = keep(
            "environment", lambda: capture.write_environment(paths, plan, job, self._environment)
        )
        self._ledger.findings += environment or []
        keep("determinism", self._write_settings)
        keep("data", self._data.begin)

    def _write_settings(self) -> None:
        if self._paths is not None:
            write_json(self._paths.determinism, self._watching.settings())

    # ------------------------------------------------------------------ while it runs

    def _leave(self) -> None:
        if self in _active:  # not so in a forked child that unwinds through here
            _active.remove(self)

    def owns_process(self) -> bool:
        return os.getpid() == self._pid

    def _beat(self) -> None:
        self._watching.look()
        self._ledger.save(heartbeat_at=utc_now())

    def returned(self, value: Any) -> None:
        """What the task returned."""
        self._results.returned = value

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """See `repro_hydra.log_metrics`."""
        self._results.log_metrics(metrics, step)

    def _log_taken(self, metrics: Mapping[str, Any], step: Any) -> None:
        if self.owns_process():
            self._results.log_taken(metrics, step)

    def log_result(self, result: Mapping[str, Any]) -> None:
        """See `repro_hydra.log_result`."""
        self._results.log_result(result)

    def dataset(self, path: str | Path, name: str | None = None) -> Path:
        """Declare an input from within the task; see `repro_hydra.dataset`."""
        return self._data.declare(path, name)

    @property
    def checkpoints(self) -> Path | None:
        """Where the checkpoints of this run are; None where it has no record."""
        return None if self._paths is None else self._paths.checkpoints

    def parts_for_checkpoint(self) -> dict[str, JSON]:
        """What of the record belongs to a checkpoint."""
        return {**self._results.parts_for_checkpoint(), **self._fingerprints.parts_for_checkpoint()}

    def continued_from(self, kept: Kept) -> None:
        """A loop of the task goes on from `kept`."""
        if self._attempt.continued_from(kept):
            self._fingerprints.went_on()

    def note_not_exact(self, what: str, message: str) -> None:
        """A restart would not be exact, or was not."""
        self._attempt.note_not_exact(what, message)

    # ------------------------------------------------------------------ leaving

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.owns_process():  # a forked child that unwinds through here
            return
        with self._signals:
            with ending_first():
                digest = self._record_end(error)
            closing.tell(self._ledger, digest)
            self._mirror.finish(hurry=closing.in_a_hurry(self.run.status))

    def _record_end(self, error: BaseException | None) -> str | None:
        """Write how the job ended; the manifest's digest."""
        ledger = self._ledger
        ledger.check_writer()
        duration_s = earlier_s(self.run) + time.perf_counter() - self._clock
        self._attempt.leave(error)
        self._watching.leave(error)
        ledger.findings = ledger.as_shown(ledger.findings)
        status, info = ledger.ending(error)
        for finding in ledger.findings:
            self._step("finding", id=finding.id, severity=finding.severity, message=finding.message)
        self._step("the run ends", status=status, duration_s=duration_s)
        self._stack.close()
        closing.wait_for_ranks(ledger, status)
        hurry = closing.in_a_hurry(status)
        # A task that only ran is no reason to lose its result: whatever fails from here on becomes a finding.
        if status == "completed":
            ledger.keep("result", self._results.write)
        self._data.finish(partial(self._watching.inputs_into, hurry=hurry))
        ledger.keep("determinism", self._write_settings)
        ledger.settle()
        ended = {"status": status, "error": info, "ended_at": utc_now(), "duration_s": duration_s}
        ledger.keep("run", lambda: ledger.save(durable=True, **ended, **self._told_at_the_end()))
        digest = closing.seal(ledger, status)
        ledger.give_back()
        return digest

    def _told_at_the_end(self) -> dict[str, Any]:
        return {
            "peak_memory_bytes": process.peak_memory_bytes(),
            "seeds": {} if self._seeds is None else self._seeds.set,
            "processes": self._watching.processes(),
            "upheld": judge(self._ledger.findings, self._plan.mode),
        }

    def _abandon(self, error: BaseException) -> None:
        """The job never began: say so in the record, and give everything back."""
        self._stack.close()
        self._signals.close()
        if self._paths is not None and self._attempt.claimed:  # else a record there is another's
            closing.abandon(self._ledger, error)
        self._ledger.give_back()
