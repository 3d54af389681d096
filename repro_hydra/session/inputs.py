"""What a job read without having declared it: watched while it runs, digested and named when it has ended."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from repro_hydra.code.held import Snapshot, ignored_by_git
from repro_hydra.inputs.folders import in_folders
from repro_hydra.inputs.hook import activate, active, deactivate
from repro_hydra.inputs.mapped import code_in_use, files_in_use, standard_input
from repro_hydra.inputs.native import NativeReads
from repro_hydra.inputs.places import Places, start_file_is_there
from repro_hydra.inputs.recorder import Recorder
from repro_hydra.inputs.remote import RemoteReads
from repro_hydra.inputs.seen import Inputs, has_changed, undeclared, watched
from repro_hydra.record.code import CodeRecord
from repro_hydra.record.data import DataCoverage, DataRecord, InputRecord
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.schema import Finding, ProcessInfo
from repro_hydra.session import input_findings
from repro_hydra.session.declared import Declared
from repro_hydra.session.input_records import InputRecords, of_answer, of_torchs_hub

MOST_LISTED = 100
MOST_DIGESTED_BYTES = 8 << 30
MOST_IN_A_HURRY_BYTES = 64 << 20
MOST_SETTINGS = 10
MOST_PROCESSES = 200
_CLOCKS_DIFFER_NS = 2_000_000_000
"""By so much a file server's clock may be behind this machine's."""


class JobPlaces(msgspec.Struct, frozen=True, kw_only=True):
    """Where a job's own things are."""

    run_dir: Path
    cwd: Path
    """Where the run was started."""
    config_dirs: Sequence[str] = ()
    moved: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Folders that the job finds elsewhere than the user has them, to the user's."""
    code_taken_ns: int | None = None
    """When the code's snapshot was made, for a job that starts long after it."""


class JobInputs:
    """Watches what one job opens.

    Parameters
    ----------
    places : JobPlaces
    environ : mapping
        The variables that libraries find their own folders by.
    """

    def __init__(self, places: JobPlaces, environ: Mapping[str, str]) -> None:
        self._places = places
        self._environ = environ
        self._folder = RunPaths(places.run_dir).reads
        self._recorder: Recorder | None = None
        self._remote = RemoteReads()
        self._native = NativeReads(self._opened_natively)

    def begin(self, when_imported: Callable[[str, Callable[[], None]], None]) -> None:
        """Watch from now on, or go on with what watches since the interpreter's start.

        Parameters
        ----------
        when_imported : callable
            The session's `LateImports.when_imported`.
        """
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        recorder = active() or Recorder(from_start=False)
        recorder.listen(str(self._folder))
        activate(recorder)
        self._recorder = recorder
        self._native.install(when_imported)
        self._remote.install(when_imported)

    def look(self) -> None:
        """See what native code has open or mapped now; asked from time to time, as it may be closed at the end."""
        if self._recorder is not None and active() is self._recorder:
            self._recorder.looked_at(files_in_use())

    def _opened_natively(self, path: str, mode: str) -> None:
        recorder = active()  # a forked child's, in one
        if recorder is not None:
            recorder.opened_natively(path, mode)

    def stop(self) -> None:
        """Watch no more; takes over what the children told."""
        if self._recorder is None or active() is not self._recorder:
            return
        deactivate()
        self._native.remove()
        self._remote.remove()
        with contextlib.suppress(OSError):  # a folder that vanished: what was told until then is there
            self._recorder.absorb()
        shutil.rmtree(self._folder, ignore_errors=True)

    def processes(self) -> list[ProcessInfo]:
        """The children that told what they opened. A Python program has the run's settings only if it attached."""
        children = self._recorder.children if self._recorder is not None else []
        return [
            ProcessInfo(pid=child.pid, role=child.role, covered=child.role == "forked", host=child.host)
            for child in children[:MOST_PROCESSES]
        ]

    # ------------------------------------------------------------------ when the job has ended

    def report(
        self, data: DataRecord, code: CodeRecord | None, *, root: str | None = None, hurry: bool = False
    ) -> tuple[DataRecord, list[Finding]]:
        """`data` with the undeclared inputs and what was watched, and a finding for each of them.

        Parameters
        ----------
        root : str, optional
            What the paths of declared datasets are relative to (``data.root``).
        hurry : bool
            The job was told to end and has seconds for it: only little is digested.
        """
        recorder = self._recorder
        assert recorder is not None
        records = InputRecords(self._places.cwd, MOST_IN_A_HURRY_BYTES if hurry else MOST_DIGESTED_BYTES)
        declared, places = Declared(data, self._places.cwd, root).holds, self._make_places(code)
        stdin, is_piped = standard_input()
        recorder.looked_at([] if stdin is None else [stdin])
        snapshots = [] if code is None else [Snapshot(one) for one in (code, *code.others)]
        found = undeclared(
            recorder,
            places,
            declared=declared,
            held=lambda old, recent: self._held(code, snapshots, old, recent),
            moved=self._places.moved,
        )
        inputs, findings = self._describe(found, code, records)
        findings += [
            input_findings.changed(records.name(path), "since its snapshot was made")
            for path in found.changed_code
        ]
        findings += [
            input_findings.changed(records.name(path), "while the run started, before or after its snapshot")
            for path in found.changed_at_start
        ]
        findings += [
            input_findings.altered(records.name(path))
            for path in _altered(snapshots, found.held_at, recorder)
        ]
        findings += [input_findings.from_the_system(source) for source in sorted(recorder.entropy)]
        yes, no = watched(recorder, start_file_is_there())
        no += [f"{records.name(path)}: what it held before the job wrote to it" for path in found.rewritten]
        no += [
            f"{records.name(path)}: whether what it held was read; it was opened to append and read"
            for path in sorted(recorder.appended)
            if not places.excludes(path)
        ]
        if found.settings:
            listed = ", ".join(sorted(found.settings)[:MOST_SETTINGS])
            no.append(f"what stands in {len(found.settings)} settings of the user's that were read: {listed}")
        no += ["standard input, which is a pipe"] if is_piped else []
        brought = [path for path in code_in_use() if path not in recorder.reads and not places.excludes(path)]
        no += (
            [f"compiled code that other libraries or LD_PRELOAD bring: {', '.join(brought)}"]
            if brought
            else []
        )
        if recorder.failure is not None:
            findings.append(input_findings.not_watched(recorder.failure))
        beyond = [f for f in recorder.folders if not declared(f"{f}/any") and not places.excludes(f"{f}/any")]
        if beyond:
            findings.append(
                input_findings.not_watched(
                    f"too many files to keep were read in {', '.join(beyond[:5])}: declare them"
                )
            )
        coverage = DataCoverage(watched=[*data.coverage.watched, *yes], not_watched=no)
        total = len(inputs)
        record = msgspec.structs.replace(
            data, inputs=inputs[:MOST_LISTED], inputs_total=total, coverage=coverage
        )
        return record, findings

    def _held(
        self,
        code: CodeRecord | None,
        snapshots: Sequence[Snapshot],
        old: Collection[str],
        recent: Collection[str],
    ) -> tuple[Collection[str], Collection[str]]:
        """What the snapshots hold; a file of the user's tree that was edited after them is compared by content."""
        suspected = self._edited_since_the_snapshot(old)
        if code is None or (code.snapshot or code.commit) is None:
            # That the code is not recorded is a finding of its own.
            return [path for path in old if path.endswith(".py") and path not in suspected], ()
        old, recent = [path for path in old if path not in suspected], [*recent, *suspected]
        answers = [one.holds(old, recent) for one in snapshots]
        same = {path for held in answers for path in held.same}
        return same, {path for held in answers for path in held.changed} - same

    def _edited_since_the_snapshot(self, paths: Collection[str]) -> set[str]:
        since, recorder = self._places.code_taken_ns, self._recorder
        if since is None or recorder is None:
            return set()
        copies = tuple(folder.rstrip(os.sep) + os.sep for folder in self._places.moved)
        in_place = {os.path.realpath(path) for path in recorder.reads if not path.startswith(copies)}
        edited = set()
        for path in in_place.intersection(paths):
            with contextlib.suppress(OSError):
                if os.stat(path).st_ctime_ns > since - _CLOCKS_DIFFER_NS:  # noqa: PTH116
                    edited.add(path)
        return edited

    def _make_places(self, code: CodeRecord | None) -> Places:
        here = self._places
        project = [str(here.cwd)]
        if code is not None and code.repository is not None:
            project.append(code.repository)
        return Places(project, str(here.run_dir), self._environ, config_dirs=here.config_dirs)

    def _describe(
        self, found: Inputs, code: CodeRecord | None, records: InputRecords
    ) -> tuple[list[InputRecord], list[Finding]]:
        inputs: list[InputRecord] = []
        findings: list[Finding] = []
        wide = {str(self._places.cwd), os.path.expanduser("~"), "/tmp", "/data", "/mnt", "/home", "/scratch"}  # noqa: PTH111, S108 (names)
        if code is not None and code.repository is not None:
            wide.add(code.repository)
        named = in_folders(found.files, wide)
        ignored = ignored_by_git(code, list(named)[:MOST_LISTED])
        for path, files in sorted(named.items(), key=lambda item: len(item[1])):
            stamps = {file: found.files[file] for file in files}
            changed = [file for file, stamp in stamps.items() if has_changed(file, stamp)]
            record = records.digested(path, stamps, changed)
            if record.digest is not None and record.kind == "file":
                record = of_torchs_hub(record, path)
            inputs.append(record)
            if len(findings) < MOST_LISTED:
                findings.append(input_findings.undeclared(record, path in ignored))
            if changed:
                findings.append(input_findings.changed(record.path, "while the job ran"))
        for source, stamps in found.hubs.items():
            record = records.of_hub(source, stamps)
            inputs.append(record)
            findings.append(input_findings.from_hub(record, source))
        for path, stamp in found.of_runs.items():
            record = msgspec.structs.replace(records.digested(path, {path: stamp}), kind="run")
            inputs.append(record)
            findings.append(input_findings.from_run(record))
        commits = {source.revision for source in found.hubs}
        for answer in self._remote.answers.values():
            if answer.commit not in commits:  # else it is what the hub's cache was filled from
                inputs.append(of_answer(answer))
                findings.append(input_findings.from_the_network(answer))
        left_out = len(named) - MOST_LISTED
        if left_out > 0:
            findings.append(input_findings.more(left_out))
        return inputs, findings


def _altered(snapshots: Sequence[Snapshot], held_at: Mapping[str, str], recorder: Recorder) -> list[str]:
    """The files that git keeps otherwise than they were read."""
    unchanged = {}
    for real, path in held_at.items():
        stamp = recorder.reads.get(path)
        if stamp is not None and not has_changed(path, stamp):
            unchanged[real] = path
    return [path for one in snapshots for path in one.altered(unchanged)]
