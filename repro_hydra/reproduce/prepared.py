"""One job on its way from record to process: what is missing, told at once; then code, data and interpreter set up."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from repro_hydra.code.facts import Location
from repro_hydra.environment import capture_environment, list_distributions
from repro_hydra.environment.circumstances import canonical, differing_environments
from repro_hydra.record.store import write_json
from repro_hydra.reproduce.code_source import CodeMissing, CodeSource, find_code, find_one, repositories
from repro_hydra.reproduce.command import Command, command_of, own_import_folders, process_environment
from repro_hydra.reproduce.inputs import Inputs, bring_inputs, changed_datasets
from repro_hydra.reproduce.original import Original
from repro_hydra.reproduce.process import Ended, import_path, program_line, run_to_its_end
from repro_hydra.reproduce.rebuild import RebuildFailed
from repro_hydra.reproduce.tolerances import Tolerances, tolerances_of
from repro_hydra.reproduce.trust import Trust, trust_in
from repro_hydra.reproduce.workshop import Workshop
from repro_hydra.session.recorded import VARIABLE, Recorded, Watch


class Prepared:
    """One job: what it needs, gathered, set up and run."""

    def __init__(self, original: Original, workshop: Workshop) -> None:
        self.original = original
        self.workshop = workshop
        self.asked = workshop.asked
        self.command: Command = command_of(original, self.asked.environ)
        self.trust = Trust(False, "")
        self.tolerances = Tolerances()
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
        self._choose_tolerances()
        if original.config is None and not any("config.json" in text for text in missing):
            missing.append("record: config.json: expected the recorded config, found none")
        missing += self._find_code(near)
        missing += self.command.missing
        missing += changed_datasets(original, self._user_cwd())
        missing += self._config_dirs()
        if asked.environment == "current":
            self._grade_environment()
        return missing

    def _choose_tolerances(self) -> None:
        """What was asked for, else the record's own where it is this user's, else the defaults."""
        asked = self.asked.judgement
        recorded = tolerances_of(self.original, asked.rtol, asked.atol)
        self.tolerances = recorded if self.trust.own else tolerances_of(None, asked.rtol, asked.atol)
        if recorded.all != self.tolerances.all:
            self.asked.say(
                f"tolerance: {self.tolerances.shown(())}; the record calls something else near enough, but this "
                "user's key does not vouch for it. To take another: --rtol, --atol"
            )

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
        self.cwd = self.tree / (self.command.cwd or "") if inside else self.workshop.outside
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
        self.more_imports = own_import_folders(self.original, self.tree)
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

    def run(self, new_dir: Path, watch: Watch | None = None) -> Ended:
        """Run the job into `new_dir`.

        Parameters
        ----------
        watch : Watch, optional
            What of it is looked at more closely than the original's options say.
        """
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
            replaced=[str(top) for top in self.trees],
            scratch=str(self.workshop.scratch),
            watch=watch,
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
