"""The state of the repositories that editable installs lie in.

A package of its own repository may be installed as editable, and then its version says nothing: the commit and
whether its files differ from it do.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from repro_hydra.record.redact import redact_url

_TIMEOUT_S = 20.0
_KEPT = (
    "GIT_CONFIG",
    "GIT_CEILING_DIRECTORIES",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM",
    "GIT_EXEC_PATH",
    "GIT_TEST_",
)


class SourceState(msgspec.Struct, frozen=True):
    """None: git could not be asked."""

    commit: str | None = None
    dirty: bool | None = None
    remote: str | None = None
    """None: it has none, too."""


def ask_sources(folders: Sequence[Path], environ: Mapping[str, str] | None = None) -> dict[Path, SourceState]:
    """Commit and dirtiness of each folder, asked at the same time (a git process takes 3 ms)."""
    variables = _variables(os.environ if environ is None else environ)
    asked = {folder: _start(folder, variables) for folder in folders}
    remotes = {folder: _start_remote(folder, variables) for folder in folders}
    return {folder: _answer(process, remotes[folder]) for folder, process in asked.items()}


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Without what would point git at another repository or index, and without writing to the one at hand."""
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith("GIT_") or name.startswith(_KEPT)
    }
    kept.pop("GIT_CONFIG", None)
    kept.pop("GIT_CONFIG_PARAMETERS", None)
    return {**kept, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def _start(folder: Path, variables: dict[str, str]) -> subprocess.Popen[bytes] | None:
    # Untracked files are not looked at: a folder of outputs would make each run's environment another one.
    options = ["--porcelain=v2", "--branch", "--no-ahead-behind", "--no-renames", "--untracked-files=no"]
    return _git(folder, ["-c", "core.fsmonitor=false", "status", *options, "--", "."], variables)


def _start_remote(folder: Path, variables: dict[str, str]) -> subprocess.Popen[bytes] | None:
    return _git(folder, ["config", "--get-regexp", r"^remote\..*\.url$"], variables)


def _git(folder: Path, arguments: list[str], variables: dict[str, str]) -> subprocess.Popen[bytes] | None:
    try:
        return subprocess.Popen(
            ["git", "-C", str(folder), *arguments],
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None


def _answer(status: subprocess.Popen[bytes] | None, remotes: subprocess.Popen[bytes] | None) -> SourceState:
    output, listed = _output(status), _output(remotes)
    if output is None:
        return SourceState()  # no repository, or one of another owner
    remote = _remote(listed or b"")
    lines = output.splitlines()
    oid = next((line.split()[2] for line in lines if line.startswith(b"# branch.oid ")), b"(initial)")
    if oid == b"(initial)":
        return SourceState(remote=remote)
    dirty = any(not line.startswith(b"#") for line in lines)
    return SourceState(commit=oid.decode(), dirty=dirty, remote=remote)


def _output(process: subprocess.Popen[bytes] | None) -> bytes | None:
    if process is None:
        return None
    try:
        output, _ = process.communicate(timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None
    return output if process.returncode == 0 else None


def _remote(listed: bytes) -> str | None:
    """``origin``, or the first: lines of ``remote.NAME.url ADDRESS``."""
    pairs = [line.partition(" ") for line in listed.decode(errors="replace").splitlines()]
    addresses = {key: address for key, _, address in pairs if address}
    chosen = addresses.get("remote.origin.url") or next(iter(addresses.values()), None)
    return None if chosen is None else redact_url(chosen)
