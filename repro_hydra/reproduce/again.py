"""Running a recorded job again: code, environment, data, the job itself, and then the comparison."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

import msgspec

from repro_hydra.code.facts import Location
from repro_hydra.environment import capture_environment, list_distributions
from repro_hydra.environment.circumstances import canonical, differing_environments
from repro_hydra.record.code import CodeRecord
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.places import project_of, remember_place
from repro_hydra.record.reproduction import Cause, Reproduction
from repro_hydra.record.store import RecordError, write_bytes, write_json
from repro_hydra.reproduce.checkout import (
    CodeMissing,
    CodeSource,
    check_out,
    check_out_one,
    find_code,
    find_one,
    repositories,
    scratch_folder,
)
from repro_hydra.reproduce.command import Command, command_of, process_environment
from repro_hydra.reproduce.inputs import Inputs, bring_inputs, changed_datasets
from repro_hydra.reproduce.original import Original, read_original
from repro_hydra.reproduce.process import (
    Ended,
    Python,
    import_path,
    program_line,
    run_to_its_end,
    this_python,
)
from repro_hydra.reproduce.rebuild import RebuildFailed, rebuilt_python
from repro_hydra.reproduce.trust import Trust, trust_in
from repro_hydra.reproduce.verdict import Judgement, impossible, judge_reproduction
from repro_hydra.session.claim import reserve_stamped
from repro_hydra.session.recorded import VARIABLE, Recorded

Environment = Literal["current", "rebuild"]
FOLDER = "reproductions"
Say = Callable[[str], None]
Confirm = Callable[[str, str], bool]


class NotConfirmed(Exception):
    """The record is not vouched for, and nobody said that it may be run."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the user wants of a reproduction."""

    judgement: Judgement
    environment: Environment = "current"
    output: Path | None = None
    """The folder for new runs; by default ``reproductions`` beside the user's outputs."""
    say: Say = field(default=lambda _line: None)
    """Told of each step."""
    echo: Say = field(default=lambda _line: None)
    """Told of each line that the job prints."""
    confirm: Confirm = field(default=lambda _command, _reason: False)
    """Asked, with the command and the reason, before a record that nobody vouches for is run."""
    here: Path = field(default_factory=Path.cwd)
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


class Workshop:
    """What the jobs of one reproduction share: the checked-out code, the interpreter, the place for new runs."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self._stack = ExitStack()
        self._trees: dict[str, Path] = {}
        self._pythons: dict[str, Python] = {}
        self._confirmed: set[str] = set()
        self._lock = threading.Lock()
        """Jobs of a sweep may run at the same time; what they share is made once."""

    def __enter__(self) -> Workshop:
        self.scratch = self._stack.enter_context(scratch_folder())
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def tree_of(self, original: Original, source: CodeSource) -> Path:
        """The scratch tree with the run's code; jobs of one sweep share it."""
        assert original.code is not None
        key = f"{original.code.tree}-{original.code.commit}"
        with self._lock:
            if key not in self._trees:
                # Two folders down, so that a path such as ../data still lies in the scratch folder.
                tree = self.scratch / str(len(self._trees)) / "above" / "tree"
                near = repositories([self.asked.here], self.asked.environ)
                check_out(original, source, tree, self.asked.environ, near)
                self._trees[key] = tree
            return self._trees[key]

    def other_tree(self, number: int, other: CodeRecord, original: Original, source: CodeSource) -> Path:
        """The scratch tree of another repository that the run imported from."""
        key = f"{other.tree}-{other.commit}"
        with self._lock:
            if key not in self._trees:
                tree = self.scratch / f"other-{len(self._trees)}-{number}" / "above" / "tree"
                check_out_one(other, original.code_files, source, tree, self.asked.environ)
                self._trees[key] = tree
            return self._trees[key]

    def python_for(self, original: Original, tree: Path) -> Python:
        recorded = original.environment
        rebuild = self.asked.environment == "rebuild"
        key = str(None if recorded is None or not rebuild else recorded.distributions_digest)
        with self._lock:
            if key not in self._pythons and rebuild:
                self.asked.say("environment: rebuilding it from the recorded pins")
                folder = self.scratch / f"env{len(self._pythons)}"
                self._pythons[key] = rebuilt_python(original, folder, tree)
            elif key not in self._pythons:
                self._pythons[key] = this_python()
            return self._pythons[key]

    def confirm(self, command: str, trust: Trust) -> bool:
        """Whether it may be run; each command is asked about once."""
        if trust.given:
            return True
        with self._lock:
            if command not in self._confirmed and self.asked.confirm(command, trust.reason):
                self._confirmed.add(command)
            return command in self._confirmed

    def new_directory(self, original: Original) -> Path:
        """A directory for the new run, that nobody has."""
        base = self.asked.output
        if base is None:
            base = project_of(self.asked.here) / FOLDER
            if not base.exists():
                base.mkdir(parents=True)
                write_bytes(base / ".gitignore", b"*\n")  # so that the user's git status stays as it was
        stamp = datetime.now(timezone.utc).strftime("%Y-%m-%d_%H-%M-%S")
        directory = reserve_stamped(base.absolute() / original.run.run_id[:12] / stamp)
        remember_place(project_of(self.asked.here), base.absolute())
        return directory


def reproduce_run(run_dir: Path, workshop: Workshop) -> Reproduction:
    """Run the job of one record again, and hold the results against each other.

    Raises
    ------
    NotConfirmed
    OSError
        There is no place for the new run.
    """
    asked = workshop.asked
    try:
        original = read_original(run_dir)
    except RecordError as error:
        return impossible(None, str(run_dir), [f"record: {error}"])
    prepared = _Prepared(original, workshop)
    missing = prepared.gather()
    if missing:
        return impossible(original, str(run_dir), missing, **_tolerance(asked))
    if not workshop.confirm(prepared.command.shown(), prepared.trust):
        raise NotConfirmed(prepared.trust.reason)
    missing = prepared.set_up()
    if missing:
        return impossible(original, str(run_dir), missing, **_tolerance(asked))
    new_dir = workshop.new_directory(original)
    ended = prepared.run(new_dir)
    outcome = _judged(prepared, new_dir, ended)
    if RunPaths(new_dir).record.is_dir():
        write_json(RunPaths(new_dir).reproduction, outcome, durable=True)
    return outcome


class _Prepared:
    """One job on its way from record to process."""

    def __init__(self, original: Original, workshop: Workshop) -> None:
        self.original = original
        self.workshop = workshop
        self.asked = workshop.asked
        self.command: Command = command_of(original, self.asked.environ)
        self.trust = Trust(False, "")
        self.source: CodeSource | None = None
        self.trees: dict[Path, Path] = {}
        self.more_imports: list[Path] = []
        self.inputs = Inputs()
        self.absent: list[str] = []

    def gather(self) -> list[str]:
        """All that is missing and can be known before anything is created."""
        original, asked, say = self.original, self.asked, self.asked.say
        say(f"record: run {original.run.run_id[:12]}, {original.run.status}, mode {original.run.mode}")
        missing = [f"record: {problem}" for problem in original.problems]
        near = repositories([asked.here, original.dir], asked.environ)
        self.trust = trust_in(original, near, asked.environ)
        if original.config is None and not any("config.json" in text for text in missing):
            missing.append("record: config.json: expected the recorded config, found none")
        missing += self._find_code(near)
        missing += self.command.missing
        missing += changed_datasets(original, self._user_cwd())
        missing += self._config_dirs()
        if asked.environment == "current":
            self._grade_environment()
        return missing

    def _find_code(self, near: Sequence[Location]) -> list[str]:
        code = self.original.code
        here = list(near)
        if self.trust.own and code is not None and code.repository is not None:
            # A stranger's record does not make us look into folders that it names.
            known = {location.top for location in here}
            more = repositories([Path(code.repository)], self.asked.environ)
            here += [location for location in more if location.top not in known]
        try:
            self.source = find_code(self.original, here, self.asked.environ)
        except CodeMissing as error:
            return [str(error)]
        self.asked.say(f"code: {self.source.shown()}")
        return []

    def _config_dirs(self) -> list[str]:
        """Config folders outside of the repository, which no snapshot holds."""
        config, code = self.original.config, self.original.code
        if config is None or code is None or code.repository is None or not self.trust.own:
            return []
        return [
            f"config: the config folder {folder} lies outside of the repository and is gone"
            for folder in config.config_dirs
            if os.path.isabs(folder)  # noqa: PTH117
            and not Path(folder).is_relative_to(code.repository)
            and not Path(folder).is_dir()
        ]

    def _grade_environment(self) -> None:
        recorded = self.original.environment
        if recorded is None:
            self.asked.say("environment: not recorded, so it cannot be compared")
            return
        installed = list_distributions()
        now = capture_environment(environ=self.asked.environ, distributions=installed)
        found = list(differing_environments(recorded, now, self.original.distributions, installed))
        serious = [item for item in found if item.severity != "harmless" and item.area != "determinism"]
        have = {canonical(item.name) for item in installed}
        self.absent = [
            f"{item.name} {item.version}"
            for item in self.original.distributions or []
            if canonical(item.name) not in have
        ]
        told = "; ".join(f"{item.key}: recorded {item.a}, found {item.b}" for item in serious[:5])
        more = f" and {len(serious) - 5} more" if len(serious) > 5 else ""
        self.asked.say(
            f"environment: {told}{more}. May change bits; --env rebuild restores packages"
            if serious
            else "environment: nothing differs that may change bits"
        )

    def _user_cwd(self) -> Path | None:
        """What the run's working directory is now: in the repository that its code was found in, else here."""
        if self.command.cwd is None:
            return Path(self.command.recorded_cwd) if self.trust.own else None
        if self.source is None:
            return None
        return (self.source.top or self.asked.here) / self.command.cwd

    def set_up(self) -> list[str]:
        """Check the code out, bring in its inputs, find the interpreter."""
        assert self.source is not None
        try:
            self.tree = self.workshop.tree_of(self.original, self.source)
            self._check_out_others()
            self.python = self.workshop.python_for(self.original, self.tree)
        except CodeMissing as error:
            return [str(error)]
        except RebuildFailed as error:
            return [f"environment: {error}"]
        inside = self.command.cwd is not None
        self.cwd = self.tree / (self.command.cwd or "") if inside else self.workshop.scratch / "outside"
        if not Path(os.path.realpath(self.cwd)).is_relative_to(self.workshop.scratch):
            return [f"command: the working directory {self.command.cwd} leads out of the tree"]
        self.cwd.mkdir(parents=True, exist_ok=True)
        self.inputs = bring_inputs(
            self.original, self._user_cwd(), self.tree, self.cwd, self.workshop.scratch
        )
        for name in self.inputs.brought:
            self.asked.say(f"data: {name}, from the project as it is now")
        return self._program_missing()

    def _check_out_others(self) -> None:
        """Other repositories that the run imported from (editable installs, PYTHONPATH), each in a tree of its own."""
        assert self.original.code is not None
        assert self.source is not None
        self.trees = {} if self.source.top is None else {self.source.top: self.tree}
        self.more_imports = []
        for number, other in enumerate(self.original.code.others):
            if other.repository is None or not other.import_folders:
                continue
            top = Path(other.repository)
            here = repositories([self.asked.here], self.asked.environ)
            if self.trust.own:
                here += repositories([top], self.asked.environ)
            source = find_one(other, self.original.code_files, here, self.asked.environ)
            tree = self.workshop.other_tree(number, other, self.original, source)
            self.trees[top] = tree
            folders = [Path(os.path.realpath(tree / folder)) for folder in other.import_folders]
            self.more_imports += [folder for folder in folders if folder.is_relative_to(tree)]
            self.asked.say(f"code of {', '.join(other.imported_by)}: {source.shown()}")

    def _program_missing(self) -> list[str]:
        name = self.command.console_script
        if name is not None:
            found = (self.python.bin_dir / name).is_file()
            return [] if found else [f"command: {name}: expected it in {self.python.bin_dir}, found none"]
        if "-m" in self.command.program:
            return []
        script = self.tree / self.command.program[-1]
        if not Path(os.path.realpath(script)).is_relative_to(self.workshop.scratch):
            return [f"command: the script {self.command.program[-1]} leads out of the tree"]
        if not script.is_file():
            return [f"command: {self.command.program[-1]}: expected the script in the run's code, found none"]
        return []

    def run(self, new_dir: Path) -> Ended:
        assert self.original.config is not None
        assert self.source is not None
        run, config = self.original.run, self.original.config
        told = Recorded(
            run_id=run.run_id,
            run_dir=str(new_dir),
            resolved=config.resolved,
            unresolved=config.unresolved,
            options=config.repro,
            job_num=run.sweep.job_num if run.sweep is not None else None,
            secrets=self.command.secrets,
        )
        spec = self.workshop.scratch / f"{run.run_id}.json"
        write_json(spec, told)
        environ = process_environment(self.original, self.asked.environ, self.cwd)
        environ[VARIABLE] = str(spec)
        path = import_path(self.python, self.trees, self.more_imports, self.asked.environ)
        environ.pop("PYTHONPATH", None)
        if path is not None:
            environ["PYTHONPATH"] = path
        line = program_line(self.command, self.python, self.tree, self.cwd, self.command.arguments)
        self.asked.say(f"job: {self.command.shown()}")
        return run_to_its_end(line, self.cwd, environ, self.asked.echo)


def _judged(prepared: _Prepared, new_dir: Path, ended: Ended) -> Reproduction:
    original, asked = prepared.original, prepared.asked
    try:
        reproduced = read_original(new_dir)
    except RecordError:
        said = ended.tail.strip()[-1500:] or "nothing"
        why = f"job: it ended with status {ended.status} and left no record. It said: {said}"
        return _keep_dir(impossible(original, str(original.dir), [why], **_tolerance(asked)), new_dir)
    lacking = _what_it_lacked(prepared, reproduced)
    if lacking:
        return _keep_dir(impossible(original, str(original.dir), lacking, **_tolerance(asked)), new_dir)
    suspects = [
        Cause(
            area="data",
            detail=f"{name}: written after the original had started; its content then is not recorded",
        )
        for name in prepared.inputs.changed_since
    ]
    return judge_reproduction(original, reproduced, asked.judgement, suspects=suspects)


def _what_it_lacked(prepared: _Prepared, reproduced: Original) -> list[str]:
    """Where the original went on and the reproduction could not: the thing that was not there."""
    original, run = prepared.original.run, reproduced.run
    error = run.error
    if run.status != "failed" or original.status == "failed" or error is None:
        return []
    if run.started_at is None:
        return [f"job: it did not start: {error.message}"]
    if error.type in ("ModuleNotFoundError", "ImportError"):
        absent = f" Not installed here: {', '.join(prepared.absent[:10])}." if prepared.absent else ""
        return [f"environment: {error.type}: {error.message}.{absent} Run it with --env rebuild"]
    if error.type == "FileNotFoundError":
        return [
            f"data: {error.message}: the job reads it, and neither its code nor its config holds or names it"
        ]
    return []


def _keep_dir(outcome: Reproduction, new_dir: Path) -> Reproduction:
    return msgspec.structs.replace(outcome, reproduction=str(new_dir))


def _tolerance(asked: Asked) -> dict[str, float]:
    return {"rtol": asked.judgement.tolerance.rtol, "atol": asked.judgement.tolerance.atol}
