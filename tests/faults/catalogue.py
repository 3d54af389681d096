"""The faults as they lie on disk: a script that shows one, its clean twin, and what is expected of strict."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CASES = Path(__file__).with_name("cases")
Outcome = Literal["prevented", "refused", "reported", "check"]
OUTCOMES: dict[str, str] = {
    "prevented": "prevented",
    "refused": "refused at the start",
    "reported": "reported, with file and line",
    "check": "found by `repro-hydra check`",
}
GROUPS = ("seeds", "order", "concurrency", "arithmetic", "environment", "code", "data")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One ``case.toml``, and the folder that it lies in."""

    name: str
    title: str
    group: str
    outcome: Outcome
    finding: str = ""
    """How the id of the finding begins: of the refusal, or of the report."""
    area: str = ""
    cause: str = ""
    """Area and words of the cause that `check` names."""
    arguments: list[str] = field(default_factory=list)
    strict_arguments: list[str] = field(default_factory=list)
    """Those that only make sense with ``+repro=strict``."""
    program: list[str] = field(default_factory=lambda: ["train.py"])
    mode: str = "strict"
    """Under which `check` is asked. What one run leaves for the next is so in every mode."""
    again: Literal["", "run", "reproduce", "alone"] = ""
    """How the second run of a prevented fault is made, or what strict refuses: the second run."""
    again_arguments: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    again_environment: dict[str, str] = field(default_factory=dict)
    fresh_start: bool = False
    """Start with an environment in which nothing is set: what is prevented, is so from the interpreter's start."""
    repository: bool = True
    committed_data: bool = False
    untracked: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)
    """Files that git ignores, as data is."""
    outside: dict[str, str] = field(default_factory=dict)
    """Files in a folder beside the project; OUTSIDE in a variable stands for it."""
    outside_change: dict[str, str] = field(default_factory=dict)
    editable: Literal["", "committed", "dirty"] = ""
    """What lies there is a repository of its own, installed in place; committed, or then made dirty by a comment."""
    register: str = ""
    """What is registered as a dataset before the first run."""
    stale: str = ""
    """A module whose byte code is made to be that of another source."""
    link: dict[str, str] = field(default_factory=dict)
    change: dict[str, str] = field(default_factory=dict)
    """What happens to files between two runs."""
    relink: dict[str, str] = field(default_factory=dict)
    needs: str = ""
    """What must be there: ``gpu``, a package, a locale."""
    pending: str = ""
    """Not caught yet, and what it waits for."""

    @property
    def folder(self) -> Path:
        return CASES / self.name

    @property
    def files(self) -> dict[str, str]:
        """What lies beside the script, by its path in the project."""
        base = self.folder / "files"
        return {
            path.relative_to(base).as_posix(): path.read_text() for path in sorted(base.rglob("*.py*"))
        } | {path.relative_to(base).as_posix(): path.read_text() for path in sorted(base.rglob("*.txt"))}

    def script(self, which: str) -> str:
        return (self.folder / f"{which}.py").read_text()

    def marked(self, which: str = "fault") -> list[int]:
        """The lines that are to be named."""
        lines = self.script(which).splitlines()
        return [number for number, line in enumerate(lines, start=1) if line.endswith("# <-")]


def load(name: str) -> tuple[Case, Case]:
    """The fault, and its clean twin, which differs in what ``clean_…`` says."""
    given: dict[str, Any] = tomllib.loads((CASES / name / "case.toml").read_text())
    known = {item.name for item in fields(Case)}
    own = {key: value for key, value in given.items() if not key.startswith("clean_")}
    twin = own | {key[len("clean_") :]: value for key, value in given.items() if key.startswith("clean_")}
    unknown = {*own, *twin} - known
    assert not unknown, (name, unknown)
    return Case(name=name, **own), Case(name=name, **twin)


def names() -> list[str]:
    return sorted(path.parent.name for path in CASES.glob("*/case.toml"))
