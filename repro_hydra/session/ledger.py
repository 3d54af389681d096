"""What a run's record says of the run itself: ``run.json``, the findings in it, and who may write there."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from repro_hydra.code.findings import CODE_CHANGED
from repro_hydra.config import Mode
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.redact import hide, redact_text
from repro_hydra.record.schema import JSON, ErrorInfo, Finding, RunRecord, Status, SweepLink
from repro_hydra.record.store import write_json
from repro_hydra.record.times import utc_now
from repro_hydra.session import capture, process
from repro_hydra.session.ending import ending
from repro_hydra.session.findings import NOT_BEGUN, Misuse, Refused, blockers, waive, waived_ids
from repro_hydra.session.lock import WriterLock
from repro_hydra.session.plan import Job, Plan
from repro_hydra.session.say import say

RECORD_REMOVED = "record-removed"


class Ledger:
    """The book of one run, which every part of its session writes into.

    Attributes
    ----------
    paths : RunPaths or None
        None where the record cannot be written, and the run goes on without one.
    findings : list of Finding
        Written with each save, those that the user waived marked.
    lock : WriterLock or None
        Held while this process is the one that writes into the run's directory.
    """

    def __init__(self, plan: Plan, job: Job) -> None:
        self.plan = plan
        self.job = job
        self.paths: RunPaths | None = RunPaths(job.run_dir)
        self.findings: list[Finding] = list(plan.findings)
        self.lock: WriterLock | None = None
        self.run = first_run(plan, job)
        self._saving = threading.RLock()  # the heartbeat saves from a thread of its own

    @property
    def mode(self) -> Mode:
        return self.plan.mode

    # ------------------------------------------------------------------ run.json

    def change(self, **changes: Any) -> None:
        """Change the run, without writing it yet."""
        with self._saving:
            self.run = msgspec.structs.replace(self.run, **changes)

    def save(self, *, durable: bool = False, **changes: Any) -> None:
        """Bring ``run.json`` up to date.

        Raises
        ------
        OSError
            It cannot be written.
        """
        with self._saving:
            self.run = msgspec.structs.replace(
                self.run, findings=list(self.findings), waived=waived_ids(self.findings), **changes
            )
            if self.paths is not None:
                self.check_writer()
                write_json(self.paths.run, self.run, durable=durable)

    def check_writer(self) -> None:
        """Ends this process where another has taken the run directory over."""
        if self.lock is not None:
            self.lock.check()

    def keep(self, what: str, action: Callable[[], Any]) -> Any:
        """Do a piece of bookkeeping. Where it fails the run is told; in strict it then does not start."""
        try:
            return action()
        except (Refused, Misuse):
            raise
        except Exception as error:  # noqa: BLE001 (whatever of ours fails must not cost the user's result)
            self.failed(what, error)
            return None

    def failed(self, what: str, error: Exception, *, once: bool = False) -> None:
        """A piece of bookkeeping failed: the user is told, and the run; of a piece that comes often, `once`."""
        found = f"bookkeeping-failed:{what}"
        message = f"{what}: could not be recorded ({type(error).__name__}: {error})"
        if isinstance(error, FileNotFoundError) and self.record_is_gone:
            found, once = RECORD_REMOVED, True
            message = (
                f"{self.job.run_dir}: expected the record there, found that the task has removed or moved its run "
                "directory. How it ended is not recorded. Let the task remove what it made itself"
            )
        if once and any(finding.id == found for finding in self.findings):
            return
        self.findings.append(Finding(id=found, severity="blocks", message=message))
        say(f"[{found}] {message}")

    @property
    def record_is_gone(self) -> bool:
        """Whether there was a record, and is none any more."""
        return self.paths is not None and not self.paths.record.is_dir()

    def give_back(self) -> None:
        """Let others write into the run's directory."""
        if self.lock is not None:
            self.keep("lock", self.lock.release)

    def lose(self, error: OSError) -> None:
        """The record cannot be written: strict does not start, in the other modes the run goes on without one."""
        message = f"{self.job.run_dir}: the record cannot be written ({error.strerror or error})"
        self.findings.append(Finding(id="record-not-written", severity="blocks", message=message))
        self.paths = None
        self.refuse_if_blocked()
        say(f"{message}; the run goes on without one")

    # ------------------------------------------------------------------ findings

    def settle(self) -> None:
        """Each finding once, with the user's paths, marked where the user waived it."""
        self.findings = waive(self.as_shown(self.findings), self.plan.options.allow)

    def refuse_if_blocked(self) -> None:
        """Raise `Refused` for all that blocks, at once."""
        self.settle()
        blocking = blockers(self.findings, self.mode)
        if self.plan.must_be_fresh and not blocking:
            # In every mode that isolates: a sweep of two codes is not what somebody asked for.
            blocking = [f for f in self.findings if f.id.startswith(CODE_CHANGED) and f.waived is None]
        if blocking:
            raise Refused(blocking, f"{self.mode.value} refuses {self.job.name or 'this job'}", NOT_BEGUN)

    def as_shown(self, findings: Sequence[Finding]) -> list[Finding]:
        """With the user's paths, where the job runs a frozen copy of the code."""
        frozen, start = self.plan.frozen, self.plan.cwd
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

    def ending(self, error: BaseException | None) -> tuple[Status, ErrorInfo | None]:
        """How the job ended, with the user's paths and without the config's secrets."""
        status, info = ending(error)
        if info is not None:
            known = self.keep("secrets", lambda: capture.secrets_of(self.job)) or ()
            message, trace = hide(info.message, known), hide(info.traceback, known)
            info = msgspec.structs.replace(info, message=message, traceback=trace)
        frozen = self.plan.frozen
        if frozen is not None and info is not None:
            trace = info.traceback and frozen.absolute(info.traceback)
            info = msgspec.structs.replace(info, message=frozen.absolute(info.message), traceback=trace)
        return status, info


def first_run(plan: Plan, job: Job) -> RunRecord:
    """``run.json`` before anything has happened."""
    rank, world = process.rank_and_world(os.environ)
    sweep = None
    if plan.sweep is not None:
        sweep = SweepLink(id=plan.sweep.sweep_id, dir=plan.sweep.sweep_dir, job_num=job.num or 0)
    now = utc_now()
    return RunRecord(
        run_id=uuid.uuid4().hex,
        name=plan.options.name,
        tags=[redact_text(tag) for tag in plan.options.tags],
        note=None if plan.options.note is None else redact_text(plan.options.note),
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


def plain(value: Any) -> JSON:
    """A configured value as JSON has it."""
    return value if isinstance(value, (int, float, str, bool)) or value is None else str(value)
