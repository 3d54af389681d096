"""Everything that watches a job while it runs: settings, generators, children, inputs, the code of a sweep in place."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import msgspec

from repro_hydra.audit import SeedingAudit
from repro_hydra.code.unfrozen import changes_since
from repro_hydra.config import Mode
from repro_hydra.determinism import SettingsWatch
from repro_hydra.determinism.operators import refused_operator
from repro_hydra.environment.installed_code import altered_code, loaded_from, site_folders
from repro_hydra.imports import LateImports
from repro_hydra.record.data import DataRecord
from repro_hydra.record.schema import JSON, Finding, ProcessInfo, Severity
from repro_hydra.seed import ChosenSeeds
from repro_hydra.session import capture, process
from repro_hydra.session.findings import how_to_waive, waived_operators
from repro_hydra.session.inputs import JobInputs, JobPlaces
from repro_hydra.session.ledger import Ledger
from repro_hydra.session.promise import weakened
from repro_hydra.session.spawned import Inheritance, SpawnedChildren


class Watching:
    """The watchers of one job. What they find goes into its ledger."""

    def __init__(self, ledger: Ledger, late: LateImports) -> None:
        plan = ledger.plan
        self._ledger = ledger
        self._late = late
        start = plan.cwd or os.getcwd()  # noqa: PTH109
        waived = waived_operators(plan.options.allow)
        self._settings = SettingsWatch(plan.options.determinism, late.when_imported, start, waived)
        self._watched = ledger.mode is not Mode.record
        self._audit = SeedingAudit(late.when_imported, start) if self._watched else None
        self._children: SpawnedChildren | None = None
        self._inputs: JobInputs | None = None

    # ------------------------------------------------------------------ before the task

    def enter(self, stack: ExitStack, chosen: ChosenSeeds | None) -> None:
        """Put the settings in force and watch them and the generators; see what is wrong from the start."""
        ledger = self._ledger
        if not process.is_fresh() and ledger.plan.must_be_fresh:
            ledger.findings.append(_not_fresh())
        if self._audit is not None:
            stack.callback(self._audit.stop)
            unrecorded = capture.unrecorded_variables(ledger.plan.options)
            enter = partial(self._audit.enter, fresh=process.is_fresh(), is_unrecorded=unrecorded)
            ledger.keep("audit", enter)
        process.note_job()
        ledger.keep("determinism", self._settings.enter)
        stack.callback(self._settings.stop)
        self._hand_on(stack, chosen)
        ledger.findings += [*self._settings.entry_findings(), *weakened(ledger.plan.options)]
        ledger.keep("code", self._look_at_code)

    def _hand_on(self, stack: ExitStack, chosen: ChosenSeeds | None) -> None:
        """What multiprocessing starts anew gets the settings again."""
        if not self._watched:
            return
        plan = self._ledger.plan
        inheritance = Inheritance(
            determinism=plan.options.determinism,
            start=plan.cwd,
            seed=None if chosen is None else chosen.seed,
            rank=self._ledger.run.rank,
        )
        self._children = SpawnedChildren(inheritance)
        stack.callback(self._children.remove)
        self._ledger.keep("children", partial(self._children.install, self._late.when_imported))

    def watch_inputs(self, stack: ExitStack) -> None:
        """See what the task opens from now on."""
        if not self._watched:
            return
        plan, job = self._ledger.plan, self._ledger.job
        places = JobPlaces(
            run_dir=job.run_dir,
            cwd=Path(plan.cwd),
            config_dirs=job.config_dirs,
            moved={} if plan.frozen is None else {one.tree: one.top for one in plan.frozen.all},
            code_taken_ns=plan.code_taken_ns,
        )
        self._inputs = JobInputs(places, os.environ)
        stack.callback(self._inputs.stop)
        self._ledger.keep("inputs", partial(self._inputs.begin, self._late.when_imported))

    def began(self, seeds: set[int]) -> None:
        """The task begins, with these seeds set."""
        if self._audit is not None and seeds:
            self._audit.began(seeds)

    # ------------------------------------------------------------------ during it

    def look(self) -> None:
        """From time to time: what native code has open."""
        if self._inputs is not None:
            self._inputs.look()

    # ------------------------------------------------------------------ after it

    def leave(self, error: BaseException | None) -> None:
        """What showed while the task ran. The watchers themselves stop with the stack that they were entered on."""
        ledger = self._ledger
        if error is not None:
            self._name_refused_operator(error)
        ledger.keep("determinism", self._settings.probe_exit)
        ledger.findings += self._settings.change_findings()
        ledger.findings += [] if self._children is None else self._children.findings()
        if self._audit is not None:
            ledger.findings += ledger.keep("audit", self._audit.findings) or []
            ledger.findings += ledger.keep("environment", _altered_code) or []
        ledger.keep("code", lambda: self._look_at_code("may_change_bits"))

    def settings(self) -> JSON:
        """``determinism.json`` as far as it is known."""
        return self._settings.record()

    def inputs_into(self, data: DataRecord, *, hurry: bool) -> DataRecord:
        """`data` with what was read without having been declared."""
        if self._inputs is None:
            return data
        data, findings = self._inputs.report(data, self._ledger.plan.code, hurry=hurry)
        self._ledger.findings += findings
        if self._audit is not None and self._audit.not_followed:
            unseen = [*data.coverage.not_watched, *self._audit.not_followed]
            data = msgspec.structs.replace(
                data, coverage=msgspec.structs.replace(data.coverage, not_watched=unseen)
            )
        return data

    def processes(self) -> list[ProcessInfo]:
        """The job's own, those that attached themselves, and those that told what they opened."""
        attached = capture.processes_of(self._ledger.run, self._ledger.paths)
        known = {info.pid for info in attached}
        more = self._inputs.processes() if self._inputs is not None else []
        return [*attached, *(info for info in more if info.pid not in known)]

    def _name_refused_operator(self, error: BaseException) -> None:
        """Where torch refused an operator, say what to do in the place of torch's own advice."""
        refused = refused_operator(error, self._ledger.plan.cwd)
        if refused is not None:
            cause, finding = refused
            (finding,) = self._ledger.as_shown([finding])
            self._ledger.findings.append(finding)
            cause.args = (f"{finding.message}: {how_to_waive(finding)}",)

    def _look_at_code(self, severity: Severity = "blocks") -> None:
        """Find what differs, for a job of a sweep in place, from the code that the sweep began with."""
        at_start = self._ledger.plan.code_at_start
        if at_start is not None:
            known = {finding.id for finding in self._ledger.findings}
            changed = changes_since(Path(at_start), severity, environ=os.environ)
            self._ledger.findings += [finding for finding in changed if finding.id not in known]


def _altered_code() -> list[Finding]:
    return altered_code(loaded_from(site_folders()))


def _not_fresh() -> Finding:
    return Finding(
        id="process-not-fresh",
        severity="may_change_bits",
        message=(
            "a job ran in this process before this one, which is therefore not isolated from what that left "
            "behind. Start each @hydra.main function in a process of its own"
        ),
    )
