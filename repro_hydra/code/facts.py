"""Where the repository is, and what it says of its commit, branch and remotes."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from repro_hydra.code.git import Git, GitError, shown
from repro_hydra.record.redact import redact_text, redact_url
from repro_hydra.record.times import format_utc


class Location(msgspec.Struct, frozen=True):
    """A work tree and the parts of its repository; worktrees share `objects` and have an `index` of their own."""

    top: Path
    index: Path
    objects: Path
    commit: str | None
    """HEAD; None where there is no commit yet."""


class NoRepositoryError(Exception):
    """The folder lies in no work tree."""


def locate(folder: Path, environ: Mapping[str, str]) -> Location:
    """The repository that `folder` lies in.

    Raises
    ------
    NoRepositoryError
    GitError
        Git refuses to answer: an owner it does not trust, a format it does not know.
    """
    arguments = ("rev-parse", "--git-path", "index", "--git-path", "objects", "--show-toplevel", "HEAD")
    status, output, said = Git(folder, environ).ask(*arguments)
    lines = output.split(b"\n")
    if status != 0 and len(lines) < 4:  # with no commit yet only the last answer is missing
        if "not a git repository" in said or "must be run in a work tree" in said:
            raise NoRepositoryError(said)
        raise GitError(arguments, status, said)
    index, objects, top = (_path(folder, line) for line in lines[:3])
    return Location(top, index, objects, lines[3].decode() if status == 0 else None)


def _path(folder: Path, line: bytes) -> Path:
    return folder / Path(line.decode("utf-8", "surrogateescape"))


class Facts(msgspec.Struct, frozen=True):
    tree: str | None = None
    """Of the commit."""
    message: str | None = None
    date: str | None = None
    epoch_s: int = 0
    on_remote: bool | None = None


class FactsQuery:
    """Asks about the commit and the remotes while other questions are under way."""

    def __init__(self, git: Git, commit: str | None) -> None:
        self._git = git
        self._log: subprocess.Popen[bytes] | None = None
        self._ahead: subprocess.Popen[bytes] | None = None
        if commit is not None:
            self._log = git.start("log", "-1", "--no-notes", "--format=%T%x00%ct%x00%B", commit)
            # Prints the commit unless a remote-tracking branch reaches it; stops at the first answer.
            self._ahead = git.start("rev-list", "--max-count=1", commit, "--not", "--remotes")
        self._config = git.start("config", "-z", "--get-regexp", r"^(remote\..*\.url|branch\..*\.remote)$")

    def facts(self) -> Facts:
        if self._log is None or self._ahead is None:
            return Facts()
        status, output, said = self._git.finish(self._log)
        if status != 0:
            raise GitError(["log"], status, said)
        tree, epoch, message = output.split(b"\0", 2)
        ahead_status, ahead, _ = self._git.finish(self._ahead)
        return Facts(
            tree=tree.decode(),
            message=redact_text(shown(message).strip()),
            date=format_utc(datetime.fromtimestamp(int(epoch), timezone.utc)),
            epoch_s=int(epoch),
            on_remote=None if ahead_status != 0 else not ahead.strip(),
        )

    def remote(self, branch: str | None) -> str | None:
        """The URL of the branch's upstream, else of ``origin``, else of the first remote."""
        status, output, _ = self._git.finish(self._config)
        if status != 0:  # 1: nothing is configured
            return None
        urls: dict[str, str] = {}
        upstream: dict[str, str] = {}
        for entry in filter(None, shown(output).split("\0")):
            key, _, value = entry.partition("\n")
            match = re.fullmatch(r"(remote|branch)\.(.*)\.(?:url|remote)", key, re.DOTALL)
            if match is not None:
                (urls if match[1] == "remote" else upstream).setdefault(match[2], value)
        for name in (upstream.get(branch or ""), "origin", *urls):
            if name in urls:
                return redact_url(urls[name])
        return None
