"""What a job read without having declared it: watched while it runs, digested and named when it has ended."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from repro_hydra.code.held import Held, held_by_snapshot, ignored_by_git
from repro_hydra.data.digest import FileProblem, digest_encoded, digest_file, encode_file
from repro_hydra.data.errors import shown
from repro_hydra.data.ignore import Ignored, compile_ignore
from repro_hydra.data.project import dataset_path
from repro_hydra.data.walk import reason_of, row_of
from repro_hydra.inputs.folders import in_folders
from repro_hydra.inputs.hubs import HubSource, promised_sha256
from repro_hydra.inputs.mapped import files_in_use
from repro_hydra.inputs.native import NativeReads
from repro_hydra.inputs.places import Places, start_file_is_there
from repro_hydra.inputs.recorder import Recorder, Stamp, activate, active, deactivate
from repro_hydra.inputs.remote import Answer, RemoteReads
from repro_hydra.inputs.seen import Inputs, has_changed, undeclared, watched
from repro_hydra.record.code import CodeRecord
from repro_hydra.record.data import DataCoverage, DataRecord, InputRecord
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.schema import Finding, ProcessInfo
from repro_hydra.session.findings import how_to_waive

MOST_LISTED = 100
MOST_DIGESTED_BYTES = 8 << 30
"""What is undeclared is read a second time for its digest, while the machine's GPUs wait."""
MOST_IN_A_HURRY_BYTES = 64 << 20
MOST_PROCESSES = 200
_CLOCKS_DIFFER_NS = 2_000_000_000
"""By so much a file server's clock may be behind this machine's."""
_PLAIN = re.compile(r"[\w./-]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlaces:
    """Where a job's own things are."""

    run_dir: Path
    cwd: Path
    """Where the run was started."""
    config_dirs: Sequence[str] = ()
    moved: Mapping[str, str] = field(default_factory=dict)
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
        self._digested_bytes = 0
        self._most_bytes = MOST_DIGESTED_BYTES
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
        if hurry:
            self._most_bytes = MOST_IN_A_HURRY_BYTES
        recorder = self._recorder
        assert recorder is not None
        declared, places = _Declared(data, self._places.cwd, root).holds, self._make_places(code)
        found = undeclared(
            recorder,
            places,
            declared=declared,
            held=lambda old, recent: self._held(code, old, recent),
            moved=self._places.moved,
        )
        inputs, findings = self._describe(found, code)
        findings += [_changed(self._name(path), "since its snapshot was made") for path in found.changed_code]
        yes, no = watched(recorder, start_file_is_there())
        no += [f"{self._name(path)}: what it held before the job wrote to it" for path in found.rewritten]
        if recorder.failure is not None:
            findings.append(_not_watched(recorder.failure))
        beyond = [f for f in recorder.folders if not declared(f"{f}/any") and not places.excludes(f"{f}/any")]
        if beyond:
            findings.append(
                _not_watched(f"too many files to keep were read in {', '.join(beyond[:5])}: declare them")
            )
        coverage = DataCoverage(watched=[*data.coverage.watched, *yes], not_watched=no)
        total = len(inputs)
        record = msgspec.structs.replace(
            data, inputs=inputs[:MOST_LISTED], inputs_total=total, coverage=coverage
        )
        return record, findings

    def _held(
        self, code: CodeRecord | None, old: Collection[str], recent: Collection[str]
    ) -> tuple[Collection[str], Collection[str]]:
        """What the snapshots hold; a file of the user's tree that was edited after them is compared by content."""
        suspected = self._edited_since_the_snapshot(old)
        return _held(code, [path for path in old if path not in suspected], [*recent, *suspected])

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

    def _name(self, path: str) -> str:
        """A path as its user would write it, and as a finding's id can hold it."""
        start = str(self._places.cwd)
        name = os.path.relpath(path, start) if path.startswith(start.rstrip(os.sep) + os.sep) else path
        return shown(os.fsencode(name))

    def _describe(self, found: Inputs, code: CodeRecord | None) -> tuple[list[InputRecord], list[Finding]]:
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
            record = self._digest(path, stamps, changed)
            if record.digest is not None and record.kind == "file":
                record = _of_torchs_hub(record, path)
            inputs.append(record)
            if len(findings) < MOST_LISTED:
                findings.append(_undeclared(record, path in ignored))
            if changed:
                findings.append(_changed(record.path, "while the job ran"))
        for source, stamps in found.hubs.items():
            record = self._of_hub(source, stamps)
            inputs.append(record)
            findings.append(_from_hub(record, source))
        for path, stamp in found.of_runs.items():
            record = msgspec.structs.replace(self._digest(path, {path: stamp}), kind="run")
            inputs.append(record)
            findings.append(_from_run(record))
        commits = {source.revision for source in found.hubs}
        for answer in self._remote.answers.values():
            if answer.commit not in commits:  # else it is what the hub's cache was filled from
                inputs.append(_remote_record(answer))
                findings.append(_from_the_network(answer))
        left_out = len(named) - MOST_LISTED
        if left_out > 0:
            findings.append(_more(left_out))
        return inputs, findings

    def _digest(self, path: str, stamps: Mapping[str, Stamp], changed: Sequence[str] = ()) -> InputRecord:
        """The record of one input; a folder's digest is the tree digest of the files in it that were read."""
        size_bytes = sum(stamp.size for stamp in stamps.values())
        record = InputRecord(
            path=self._name(path),
            size_bytes=size_bytes,
            files=len(stamps),
            kind="file" if path in stamps else "directory",
        )
        if changed:
            where = "it" if record.kind == "file" else self._name(changed[0])
            reason = f"{where} was changed or removed while the job ran, so what was read is gone"
            return msgspec.structs.replace(record, reason=reason)
        if self._digested_bytes + size_bytes > self._most_bytes:
            reason = (
                f"more than {self._most_bytes >> 20:,} MiB were read undeclared, and no more are digested"
            )
            return msgspec.structs.replace(record, reason=reason)
        self._digested_bytes += size_bytes
        try:
            if record.kind == "file":
                return msgspec.structs.replace(record, digest=_content(path).hex())
            contents = [
                (os.fsencode(file[len(path) + 1 :]), stamps[file].size, _content(file)) for file in stamps
            ]
        except FileProblem as problem:
            return msgspec.structs.replace(record, reason=str(problem))
        digest = digest_encoded(
            encode_file(name, size, content, 0) for name, size, content in sorted(contents)
        )
        return msgspec.structs.replace(record, digest=digest.hex())

    def _of_hub(self, source: HubSource, stamps: Mapping[str, Stamp]) -> InputRecord:
        """Its revision says what it is: nothing is read again for it."""
        return InputRecord(
            path=self._name(source.folder),
            size_bytes=sum(stamp.size for stamp in stamps.values()),
            files=len(stamps),
            kind="hub",
            repository=source.repository,
            revision=source.revision,
            reason=None
            if source.exact
            else f"{source.revision} is no commit: it may mean something else tomorrow",
        )


class _Declared:
    """What the declared datasets hold; what they ignore is in no digest, and so not declared."""

    def __init__(self, data: DataRecord, cwd: Path, root: str | None) -> None:
        self._folders: dict[str, Ignored | None] = {}
        for dataset in data.datasets:
            # What the task declared itself is relative to where the run was started.
            for path in (dataset_path(dataset.path, cwd, root), dataset_path(dataset.path, cwd)):
                for folder in (os.path.normpath(path), os.path.realpath(path)):
                    self._folders[folder] = compile_ignore(dataset.ignore)
        self._below = tuple(folder + os.sep for folder in self._folders)

    def holds(self, path: str) -> bool:
        if path in self._folders:
            return True
        if not path.startswith(self._below):
            return False
        return any(
            path.startswith(folder + os.sep) and not _is_ignored(path[len(folder) + 1 :], ignored)
            for folder, ignored in self._folders.items()
        )


def _is_ignored(relative: str, ignored: Ignored | None) -> bool:
    if ignored is None:
        return False
    name = os.fsencode(relative)
    folders = [name[:end] for end, char in enumerate(name) if char == 47]  # a slash
    return any(ignored(folder, True) for folder in folders) or ignored(name, False)


def _held(
    code: CodeRecord | None, old: Collection[str], recent: Collection[str]
) -> tuple[Collection[str], Collection[str]]:
    if code is None or (code.snapshot or code.commit) is None:
        # That the code is not recorded is a finding of its own.
        return [path for path in old if path.endswith(".py")], ()
    answers: list[Held] = [held_by_snapshot(one, old, recent) for one in (code, *code.others)]
    same = {path for held in answers for path in held.same}
    return same, {path for held in answers for path in held.changed} - same


def _content(file: str) -> bytes:
    """The file's digest; FileProblem where it can't be read any more."""
    raw = os.fsencode(os.path.realpath(file) if os.path.islink(file) else file)  # noqa: PTH114
    try:
        return digest_file(raw, row_of(b"", os.stat(raw)))  # noqa: PTH116
    except OSError as error:
        raise FileProblem(f"{shown(raw)}: {reason_of(error)}") from None


def _of_torchs_hub(record: InputRecord, path: str) -> InputRecord:
    """Weights that torch's hub fetched bear the beginning of their SHA-256 in their name: said where it is true."""
    promised = promised_sha256(path)
    if promised is None:
        return record
    with Path(path).open("rb") as stream:
        hasher = hashlib.sha256()
        while chunk := stream.read(4 << 20):
            hasher.update(chunk)
    digest = hasher.hexdigest()
    if not digest.startswith(promised):
        return msgspec.structs.replace(
            record, reason=f"its name promises sha256 {promised}…, it has {digest[:12]}…"
        )
    name = os.path.basename(path)  # noqa: PTH119
    return msgspec.structs.replace(record, kind="hub", repository=f"torch-hub://{name}", revision=promised)


# ---------------------------------------------------------------------- what is said


def _undeclared(record: InputRecord, ignored: bool) -> Finding:
    why = " (git ignores it)" if ignored else ""
    what = f"{record.files} files of it were read" if record.kind == "directory" else "was read"
    declare = f"repro_hydra.dataset({record.path!r}) where it is opened"
    if _PLAIN.fullmatch(record.path):
        name = os.path.basename(record.path)  # noqa: PTH119 (a path as text, from a record)
        declare = f"hydra.callbacks.repro.data.datasets='{{{name}: {record.path}}}', or {declare}"
    return _with_waiver(
        Finding(
            id=f"undeclared-input:{record.path}",
            severity="may_change_bits",
            message=(
                f"{record.path}: {what}, and neither the code's snapshot nor a declared dataset holds it{why}. "
                f"Declare it: {declare}"
            ),
            file=record.path,
        )
    )


def _from_hub(record: InputRecord, source: HubSource) -> Finding:
    how = (
        f"revision={record.revision!r} where it is loaded asks for the same again"
        if source.exact
        else f"{record.revision!r} is no commit: name one where it is loaded"
    )
    return _with_waiver(
        Finding(
            id=f"undeclared-input:{source.repository}@{source.revision}",
            severity="may_change_bits",
            message=(
                f"{source.repository}: revision {source.revision} was read ({record.files} files in {record.path}) "
                f"and not declared; {how}. Declare it: repro_hydra.dataset({record.path!r})"
            ),
            file=record.path,
        )
    )


def _from_run(record: InputRecord) -> Finding:
    return Finding(
        id=f"input-of-a-run:{record.path}",
        severity="harmless",
        message=f"{record.path}: was read; it lies in the directory of another run, and its digest is recorded",
        file=record.path,
    )


def _remote_record(answer: Answer) -> InputRecord:
    return InputRecord(
        path=answer.url,
        size_bytes=answer.size_bytes,
        kind="remote",
        revision=answer.version,
        reason=None if answer.version else "unknown: the server gave neither an ETag nor a version",
    )


def _from_the_network(answer: Answer) -> Finding:
    version = f"version {answer.version}" if answer.version else "no version given"
    return _with_waiver(
        Finding(
            id=f"undeclared-input:{answer.url}",
            severity="may_change_bits",
            message=(
                f"{answer.url}: was fetched by the job ({version}); it may be another one tomorrow. Fetch it once, "
                "and declare the file: repro-hydra data add FILE, then repro_hydra.dataset('FILE') in the task"
            ),
        )
    )


def _changed(path: str, since: str) -> Finding:
    return Finding(
        id=f"data-changed-meanwhile:{path}",
        severity="may_change_bits",
        message=f"{path}: was read, and changed {since}. The run may have read either: run it again",
        file=path,
    )


def _more(count: int) -> Finding:
    return Finding(
        id="undeclared-input:and-more",
        severity="may_change_bits",
        message=f"{count} more undeclared inputs are not listed here. Declare the folders that hold them",
    )


def _not_watched(reason: str) -> Finding:
    return Finding(
        id="inputs-not-watched",
        severity="may_change_bits",
        message=f"what the job reads could not be watched throughout ({reason})",
    )


def _with_waiver(finding: Finding) -> Finding:
    return msgspec.structs.replace(
        finding, message=f"{finding.message}; or waive it: {how_to_waive(finding)}"
    )
