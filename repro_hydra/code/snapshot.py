"""The captured code as a commit of its own, kept by a ref that neither a branch nor a clone shows."""

from __future__ import annotations

import os
from collections.abc import Mapping

import msgspec

from repro_hydra.code.git import Git, GitError, GitUnavailableError
from repro_hydra.code.state import CodeState
from repro_hydra.record.code import CodeRecord

REF_PREFIX = "refs/repro/"
_IDENTITY = {
    "GIT_AUTHOR_NAME": "repro_hydra",
    "GIT_AUTHOR_EMAIL": "repro_hydra@localhost",
    "GIT_COMMITTER_NAME": "repro_hydra",
    "GIT_COMMITTER_EMAIL": "repro_hydra@localhost",
}
"""Without one `commit-tree` fails where the user has none, as on a fresh cluster node."""


class SnapshotError(RuntimeError):
    """The repository could not take the snapshot (read-only, full); what `inspect_code` saw is not lost by it."""


def snapshot_code(state: CodeState, *, environ: Mapping[str, str] | None = None) -> CodeRecord:
    """Keep what `inspect_code` saw, not what the work tree holds by now.

    A commit that a remote has needs nothing. Else ``refs/repro/<tree>`` keeps the commit itself, or, where files
    differ, a commit on top of it. One content has one ref: where it is there already, it stays as it is. The same
    content on the same commit gives the same commit id.

    Returns
    -------
    CodeRecord
        `state.record` with `snapshot` and `snapshot_ref`; unchanged where there is no repository.

    Raises
    ------
    SnapshotError
    """
    record = state.record
    if state.top is None or record.tree is None:
        return record
    differs = record.tree != state.base_tree
    if not differs and record.on_remote:
        return msgspec.structs.replace(record, snapshot=record.commit)
    git = Git(state.top, os.environ if environ is None else environ)
    ref = REF_PREFIX + record.tree
    try:
        snapshot = _read(git, ref) or _make(git, ref, state, differs)
    except (GitError, GitUnavailableError) as error:
        raise SnapshotError(f"code: expected to keep a snapshot in {state.top}, found: {error}") from None
    return msgspec.structs.replace(record, snapshot=snapshot, snapshot_ref=ref)


def _read(git: Git, ref: str) -> str | None:
    status, output, _ = git.ask("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    return output.decode().strip() if status == 0 else None


def _make(git: Git, ref: str, state: CodeState, differs: bool) -> str:
    record = state.record
    assert record.tree is not None
    if state.pack:
        git.run("unpack-objects", "-q", data=state.pack)
    if differs or record.commit is None:
        snapshot = _commit(git, record.tree, record.commit, state.epoch_s)
    else:
        snapshot = record.commit
    try:
        git.run("update-ref", ref, snapshot, "0" * len(snapshot))  # only if there is none yet
    except GitError:
        other = _read(git, ref)  # another run of the same code was faster
        if other is None:
            raise
        return other
    return snapshot


def _commit(git: Git, tree: str, parent: str | None, epoch_s: int) -> str:
    date = f"@{epoch_s} +0000"  # of the parent: a date of now would give each run another commit
    dated = git.with_variables(**_IDENTITY, GIT_AUTHOR_DATE=date, GIT_COMMITTER_DATE=date)
    parents = () if parent is None else ("-p", parent)
    message = f"Code of a run, as repro_hydra found it\n\nTree {tree}\n"
    return dated.run("commit-tree", "--no-gpg-sign", tree, *parents, data=message.encode()).decode().strip()
