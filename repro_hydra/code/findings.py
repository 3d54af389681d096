"""What stands in the way of having the code again, each with its mend."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from repro_hydra.code.admit import SECRETS
from repro_hydra.record.schema import Finding, Severity


def no_repository(start: Path) -> Finding:
    return Finding(
        id="no-git-repository",
        severity="blocks",
        message=f"code: expected a git repository around {start}, found none, so this code could not be had again. "
        f"Run: git init {shlex.quote(str(start if start.is_dir() else start.parent))}, then commit",
    )


def no_commit(top: Path) -> Finding:
    return Finding(
        id="no-commit",
        severity="blocks",
        message=f"code: expected a commit in {top}, found none yet. Run: git add . && git commit",
    )


def git_unavailable(reason: str) -> Finding:
    return Finding(
        id="git-unavailable",
        severity="blocks",
        message=f"code: expected to ask git, found that {reason}. Install git, or put it on the PATH",
    )


def git_refused(start: Path, said: str) -> Finding:
    dubious = re.search(r"dubious ownership in repository at '(.*)'", said)
    if dubious:
        folder = shlex.quote(dubious[1])
        return Finding(
            id="git-refused",
            severity="blocks",
            message=f"code: expected to read the repository around {start}, found that git does not trust it: "
            f"it belongs to another user. Run: git config --global --add safe.directory {folder}",
        )
    return Finding(
        id="git-refused",
        severity="blocks",
        message=f"code: expected to read the repository around {start}, found that git refuses: {said}. "
        "Run: git status, and mend what it says",
    )


def not_captured(path: str, reason: str, *, harmless: bool, mend: str | None = None) -> Finding:
    if mend is None:
        # A key that was committed once is in the history for ever: that is never the advice.
        first = "Take it out of the file, or" if reason.endswith(SECRETS) else "Commit it, or"
        code = "" if reason.endswith(SECRETS) else " if it is no code"
        mend = f"{first} have git ignore it{code}: echo {shlex.quote('/' + path)} >> .gitignore"
    return Finding(
        id=f"code-not-captured:{path}",
        severity="harmless" if harmless else "blocks",
        message=f"code: {path}: expected to capture it, found that it {reason}."
        + ("" if harmless else f" {mend}"),
        file=path,
    )


def script_ignored(path: str) -> Finding:
    return not_captured(
        path,
        "is ignored by git, though it was started",
        harmless=False,
        mend=f"Run: git add -f {shlex.quote(path)}",
    )


def folder_in_no_repository(folder: Path, why: str) -> Finding:
    return not_captured(
        str(folder),
        f"is imported from ({why}) and lies in no git repository",
        harmless=False,
        mend=f"Run: git init {shlex.quote(str(folder))}, then commit; or install it as a package",
    )


def script_outside(script: Path, top: Path) -> Finding:
    return Finding(
        id=f"script-outside-repository:{script}",
        severity="blocks",
        message=f"code: expected the script below {top}, found {script}, which no snapshot of it would hold. "
        "Move it into the repository",
        file=str(script),
    )


def patch_too_large(limit: int) -> Finding:
    return Finding(
        id="code-not-captured:code.patch",
        severity="blocks",
        message=f"code: code.patch: expected at most code.max_patch_bytes={limit:,} bytes, found more. Commit the "
        "changes, or have git ignore what is no code",
    )


def not_bundled(top: str, reason: str) -> Finding:
    return Finding(
        id=f"code-not-bundled:{top}",
        severity="harmless",
        message=f"code: {top}: expected a code.bundle beside the record, since no remote has the commit, found that "
        f"{reason}. The code can be had on this machine only",
    )


def contents_of_lfs(paths: Sequence[str]) -> Finding:
    some = ", ".join(paths[:3]) + (", …" if len(paths) > 3 else "")
    return Finding(
        id="lfs-content-here-only",
        severity="harmless",
        message=f"code: {some}: expected the content in the snapshot, found Git LFS, which keeps it in this repository "
        "beside git: the run can be reproduced here, and elsewhere once it is committed and pushed",
    )


CODE_CHANGED = "code-changed-meanwhile:"


def changed_meanwhile(path: str, severity: Severity) -> Finding:
    mend = "Start the sweep again, or leave out code.freeze=off"
    return Finding(
        id=f"{CODE_CHANGED}{path}",
        severity=severity,
        message=f"code: {path}: expected it as it was when the sweep began, found that it has changed. {mend}",
        file=path,
    )


def dirty(changed: Sequence[str], commit: str) -> Finding:
    some = ", ".join(changed[:3]) + (", …" if len(changed) > 3 else "")
    count = "1 file differs" if len(changed) == 1 else f"{len(changed)} files differ"
    return Finding(
        id="dirty",
        severity="harmless",
        message=f"code: {count} from commit {commit[:12]} ({some}); captured",
    )
