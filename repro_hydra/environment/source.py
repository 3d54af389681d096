"""The state of the repositories that editable installs lie in.

A package of its own repository may be installed as editable, and then its version says nothing: the commit and
whether its files differ from it do.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT_S = 20.0
_KEPT = (
    "GIT_CONFIG",
    "GIT_CEILING_DIRECTORIES",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM",
    "GIT_EXEC_PATH",
    "GIT_TEST_",
)


@dataclass(frozen=True, slots=True)
class SourceState:
    """None: git could not be asked."""

    commit: str | None = None
    dirty: bool | None = None


def ask_sources(folders: Sequence[Path], environ: Mapping[str, str] | None = None) -> dict[Path, SourceState]:
    """Commit and dirtiness of each folder, asked at the same time (a git process takes 3 ms)."""
    variables = _variables(os.environ if environ is None else environ)
    asked = {folder: _start(folder, variables) for folder in folders}
    return {folder: _answer(process) for folder, process in asked.items()}


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
    try:
        return subprocess.Popen(
            ["git", "-C", str(folder), "-c", "core.fsmonitor=false", "status", *options, "--", "."],
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None


def _answer(process: subprocess.Popen[bytes] | None) -> SourceState:
    if process is None:
        return SourceState()
    try:
        output, _ = process.communicate(timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return SourceState()
    if process.returncode != 0:
        return SourceState()  # no repository, or one of another owner
    lines = output.splitlines()
    oid = next((line.split()[2] for line in lines if line.startswith(b"# branch.oid ")), b"(initial)")
    if oid == b"(initial)":
        return SourceState()
    return SourceState(commit=oid.decode(), dirty=any(not line.startswith(b"#") for line in lines))
