"""Who made a run, taken out of whatever an anonymous export holds."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote

from repro_hydra.code.git import Git, GitError, GitUnavailableError
from repro_hydra.crate.packed import NotUnpacked, forms_of
from repro_hydra.record.schema import JSON
from repro_hydra.reproduce.original import Original

_COMMON_NAMES = frozenset(
    {
        "root",
        "user",
        "admin",
        "ubuntu",
        "runner",
        "jovyan",
        "vscode",
        "anonymous",
        "localhost",
        "nobody",
        "none",
    }
)
"""They name nobody, and stand in texts of every kind."""
_SHORTEST = 3
PROJECT = "/anonymous/project"
HOME = "/home/anonymous"
ENVIRONMENT = "/anonymous/environment"
PACKAGES = "/anonymous/packages"
PERSON = "anonymous"
_Replacement = tuple[str, re.Pattern[str], str]


class Identity:
    """The texts that tell who made some runs, and what stands in their place."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[str, str]] = {}
        self._replacements: list[_Replacement] | None = None
        self.removed: Counter[str] = Counter()
        """What was taken out, and how often."""

    def add(self, kind: str, text: str | None, instead: str = PERSON) -> None:
        """`text` tells `kind` of them; the first to say so decides what stands instead."""
        if text is None:
            return
        text = text.strip().rstrip("/")
        if len(text) < _SHORTEST or text.lower() in _COMMON_NAMES or text in self._found:
            return
        self._found[text] = (kind, instead)
        self._replacements = None

    def text(self, text: str) -> str:
        """`text` without them."""
        for kind, pattern, instead in self._patterns():
            text, count = pattern.subn(instead.replace("\\", r"\\"), text)
            self.removed[kind] += count
        return text

    def value(self, value: JSON) -> JSON:
        """`value` without them, keys included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(key)): self.value(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item) for item in value]
        return value

    def stands_in(self, data: bytes) -> list[str]:
        """What kinds of them `data` holds, whatever its form is; what cannot be looked into counts as one."""
        found: dict[str, None] = {}
        try:
            for form in forms_of(data):
                text = form.decode("utf-8", "replace")
                found |= dict.fromkeys(kind for kind, pattern, _ in self._patterns() if pattern.search(text))
        except NotUnpacked as reason:
            found[f"contents that cannot be looked into: {reason}"] = None
        return list(found)

    def lines_of(self, data: bytes) -> list[tuple[int, str]]:
        """Line and kind of each mention."""
        found = []
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), start=1):
            found += [(number, kind) for kind, pattern, _ in self._patterns() if pattern.search(line)]
        return found

    def _patterns(self) -> list[_Replacement]:
        if self._replacements is None:
            # The longest first: a home's path before the name in it.
            ordered = sorted(self._found.items(), key=lambda item: -len(item[0]))
            self._replacements = [(kind, _pattern(text), instead) for text, (kind, instead) in ordered]
        return self._replacements


def _pattern(text: str) -> re.Pattern[str]:
    if text.startswith("/"):
        return re.compile(rf"(?<![\w-]){re.escape(text)}(?![\w-])")
    return re.compile(rf"(?<![A-Za-z0-9]){re.escape(text)}(?![A-Za-z0-9])", re.IGNORECASE)


def identity_of(
    originals: Iterable[Original], folders: Iterable[Path], environ: Mapping[str, str]
) -> Identity:
    """Everything that records, this machine and the repositories in `folders` tell about whoever made them."""
    identity = Identity()
    for original in originals:
        _add_record(identity, original)
    identity.add("home path", environ.get("HOME"), HOME)
    identity.add("user", environ.get("USER") or environ.get("LOGNAME"))
    for folder in folders:
        _add_repository(identity, Git(folder, environ))
    return identity


def _add_record(identity: Identity, original: Original) -> None:
    run, code = original.run, original.code
    project = code.repository if code is not None and code.repository else run.cwd
    identity.add("project path", project, PROJECT)
    identity.add("project path", os.path.realpath(original.dir), f"{PROJECT}/run")
    if original.sweep_dir is not None:
        identity.add("project path", os.path.realpath(original.sweep_dir), f"{PROJECT}/sweep")
    identity.add("user", run.user)
    _add_host(identity, run.host)
    for process in run.processes:
        _add_host(identity, process.host)
    if original.sweep is not None:
        _add_host(identity, original.sweep.host)
    if original.environment is not None:
        identity.add("home path", original.environment.variables.get("HOME"), HOME)
        identity.add("user", original.environment.variables.get("USER"))
        interpreter = original.environment.interpreter
        if (
            interpreter.prefix != interpreter.base_prefix
        ):  # a virtual environment, which may lie in a lab's folder
            identity.add("environment's path", interpreter.prefix, ENVIRONMENT)
    for one in () if code is None else (code, *code.others):
        _add_remote(identity, one.remote)
        identity.add("commit", one.commit, "0" * 40)
        if one.snapshot is not None and one.snapshot != one.commit:
            identity.add("commit", one.snapshot, "0" * 40)
        for commit in (one.commit, one.snapshot):
            identity.add("commit", None if commit is None else commit[:12], "0" * 12)
    for item in original.distributions or []:
        if item.editable and item.url is not None and item.url.startswith("file:///"):
            identity.add(
                "package's path", unquote(item.url.removeprefix("file://")), f"{PACKAGES}/{item.name}"
            )
        if item.source is not None:
            _add_remote(identity, item.source.remote)
    for home in re.findall(r"/(?:home|Users)/[^/\s]+", f"{project} {run.cwd}"):
        identity.add("home path", home, HOME)
        identity.add("user", home.rpartition("/")[2])


def _add_host(identity: Identity, host: str | None) -> None:
    if host:
        identity.add("host", host)
        identity.add("host", host.partition(".")[0])


def _add_remote(identity: Identity, remote: str | None) -> None:
    if remote is None:
        return
    identity.add("remote", remote, "REMOTE")
    identity.add("remote", remote.removesuffix(".git"), "REMOTE")
    path = re.split(r"://[^/]+/|@[^:/]+[:/]", remote)[-1]
    owner = path.strip("/").split("/")[0] if "/" in path.strip("/") else ""
    identity.add("remote's owner", owner)


def _add_repository(identity: Identity, git: Git) -> None:
    """Name and address of the user as git has them, and of whoever wrote the last commits."""
    asked = (("config", "--get", "user.name"), ("config", "--get", "user.email"))
    said = [_answer(git, arguments) for arguments in asked]
    said.append(_answer(git, ("log", "-n", "200", "--format=%an%n%ae%n%cn%n%ce")))
    for line in dict.fromkeys("\n".join(said).splitlines()):
        identity.add("e-mail address" if "@" in line else "author", line)
        if "@" in line:
            identity.add("user", line.partition("@")[0].rpartition("+")[2])


def _answer(git: Git, arguments: tuple[str, ...]) -> str:
    try:
        status, output, _ = git.ask(*arguments)
    except (GitError, GitUnavailableError):
        return ""
    return output.decode("utf-8", "replace") if status == 0 else ""
