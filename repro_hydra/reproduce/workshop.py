"""What the jobs of one reproduction share: what was asked for, checked-out code, an interpreter, a place for runs."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from repro_hydra.record.code import CodeRecord
from repro_hydra.record.places import project_of, remember_place
from repro_hydra.record.store import write_bytes
from repro_hydra.reproduce.checkout import Say, check_out, check_out_one
from repro_hydra.reproduce.code_source import CodeSource, repositories
from repro_hydra.reproduce.original import Original
from repro_hydra.reproduce.process import Python, this_python
from repro_hydra.reproduce.rebuild import rebuilt_python
from repro_hydra.reproduce.trust import Trust
from repro_hydra.reproduce.verdict import Judgement
from repro_hydra.session.claim import reserve_stamped
from repro_hydra.temporary import TemporaryFolder

Environment = Literal["current", "rebuild"]
FOLDER = "reproductions"
Confirm = Callable[[str, str], bool]


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
        self.scratch = self._stack.enter_context(TemporaryFolder("reproduce"))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def outside(self) -> Path:
        """Where a job runs that was started outside of its repository."""
        return self.scratch / "outside"

    def clear(self) -> None:
        """Take the scratch trees away: the next job finds nothing that one before it left there."""
        with self._lock:
            for tree in self._trees.values():
                shutil.rmtree(tree.parent.parent)
            shutil.rmtree(self.outside, ignore_errors=True)
            self._trees.clear()

    def tree_of(self, original: Original, source: CodeSource) -> Path:
        """The scratch tree with the run's code; jobs of one sweep share it."""
        assert original.code is not None
        key = f"{original.code.tree}-{original.code.commit}"
        with self._lock:
            if key not in self._trees:
                # Two folders down, so that a path such as ../data still lies in the scratch folder.
                tree = self.scratch / str(len(self._trees)) / "above" / "tree"
                near = repositories([self.asked.here], self.asked.environ)
                check_out(original, source, tree, self.asked.environ, near, self.asked.say)
                self._trees[key] = tree
            return self._trees[key]

    def other_tree(self, number: int, other: CodeRecord, original: Original, source: CodeSource) -> Path:
        """The scratch tree of another repository that the run imported from."""
        key = f"{other.tree}-{other.commit}"
        with self._lock:
            if key not in self._trees:
                tree = self.scratch / f"other-{len(self._trees)}-{number}" / "above" / "tree"
                check_out_one(
                    other, original.code_files, source, tree, self.asked.environ, say=self.asked.say
                )
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
