"""Whether what is about to go on is the run that began: its config, its code, its number of ranks."""

from __future__ import annotations

import os

from repro_hydra.record.code import CodeRecord
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.schema import ConfigRecord, Finding, RunRecord
from repro_hydra.record.store import RecordError, read
from repro_hydra.session import capture, process
from repro_hydra.session.plan import Job, Plan
from repro_hydra.session.recorded import keys_new_each_run, leaves

NOT_THE_SAME = "continued-with-other-"
"""How the findings of `differences` begin: they stop in every mode, since two halves make no run."""


def differences(paths: RunPaths, plan: Plan, job: Job, earlier: RunRecord) -> list[Finding]:
    """What stands against going on: another config, other code or another world size than `earlier` had."""
    findings = []
    keys = _other_config(paths, job)
    if keys:
        findings.append(
            Finding(
                id="continued-with-other-config",
                severity="blocks",
                message=(
                    f"{paths.run_dir}: expected the config that the run began with, found another "
                    f"{'value' if len(keys) == 1 else 'values'} of {', '.join(keys)}. "
                    "Give the same overrides, or start a run of its own: another hydra.run.dir"
                ),
            )
        )
    code = _other_code(paths, plan.code)
    if code is not None:
        findings.append(
            Finding(
                id="continued-with-other-code",
                severity="blocks",
                message=(
                    f"{paths.run_dir}: expected the code that the run began with, found {code}. Bring it back "
                    "(git stash, git checkout), or start a run of its own: another hydra.run.dir"
                ),
            )
        )
    _, world = process.rank_and_world(os.environ)
    if earlier.world_size != world:
        findings.append(
            Finding(
                id="continued-with-other-world-size",
                severity="blocks",
                message=(
                    f"{paths.run_dir}: expected the world size that the run began with, {earlier.world_size}, found "
                    f"{world}: each rank has a part of the data and generators of its own. Start as many ranks, or a "
                    "run of its own: another hydra.run.dir"
                ),
            )
        )
    return findings


def _other_config(paths: RunPaths, job: Job) -> list[str]:
    try:
        kept = read(paths.config, ConfigRecord)
    except RecordError:
        return []  # the attempt ended before it wrote one: nothing was begun with it
    now = capture.config_record(job)
    new_each_run = keys_new_each_run(kept.unresolved)
    before, after = dict(leaves(kept.resolved)), dict(leaves(now.resolved))
    return sorted(
        key
        for key in before.keys() | after.keys()
        if key not in new_each_run and before.get(key) != after.get(key)
    )


def _other_code(paths: RunPaths, code: CodeRecord | None) -> str | None:
    try:
        kept = read(paths.code, CodeRecord)
    except RecordError:
        return None
    if code is None or (kept.tree, kept.commit) == (code.tree, code.commit):
        return None
    if kept.tree is not None and kept.tree == code.tree:
        return None  # another commit of the same files
    return f"{_code_name(code)} in place of {_code_name(kept)}"


def _code_name(code: CodeRecord) -> str:
    commit = code.commit[:12] if code.commit is not None else "no commit"
    return f"commit {commit}{' with changes' if code.dirty else ''}"
