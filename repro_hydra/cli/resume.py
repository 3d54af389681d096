"""``repro-hydra resume``: submit again what failed, was lost or never ran."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from repro_hydra.cli.errors import NO, UserError
from repro_hydra.cli.output import default_roots, now, print_json, shorten_home
from repro_hydra.launcher import slurm
from repro_hydra.launcher.resuming import VARIABLE, Again
from repro_hydra.record.find import resolve
from repro_hydra.record.paths import SweepPaths
from repro_hydra.record.redact import PLACEHOLDER
from repro_hydra.record.schema import SweepRecord
from repro_hydra.record.status import process_is_alive
from repro_hydra.record.store import read
from repro_hydra.record.vouch import sweep_vouched, user_key
from repro_hydra.sweep.outstanding import ClusterState, JobNow, jobs_now
from repro_hydra.sweep.table import Column, clean, lay_out
from repro_hydra.temporary import TemporaryFolder

_COLUMNS = (Column("job", right=True), Column("status"), Column("now"), Column("overrides"), Column("reason"))

_WHO = {
    "another key": "another's",
    "nobody": "that nobody does",
    "changed since": "that they were changed since",
}


def run(reference: str, *, dry_run: bool, yes: bool, json: bool) -> None:
    """The command."""
    located = resolve(reference, default_roots())
    if located.kind != "sweep":
        raise UserError(f"{reference}: expected a sweep, found a {located.kind}. Run: repro-hydra list")
    sweep_dir = Path(located.dir)
    paths = SweepPaths(sweep_dir)
    sweep = read(paths.sweep, SweepRecord)
    before = _jobs(sweep, sweep_dir)
    again = [one.job.num for one in before if one.state == "again"]
    code = 0
    if again and not dry_run:
        _refuse_unless_possible(sweep, paths, reference, again, yes=yes)
        code = _start(sweep, sweep_dir, again)
    after = _jobs(read(paths.sweep, SweepRecord), sweep_dir) if again and not dry_run else before
    ok = code == 0 and not (dry_run and again) and all(one.state != "again" for one in after)
    if json:
        print_json(_document(sweep, sweep_dir, again, before, after, ok=ok))
    else:
        _show(sweep_dir, again, after, dry_run=dry_run)
    if not ok:
        raise SystemExit(NO)


def _jobs(sweep: SweepRecord, sweep_dir: Path) -> list[JobNow]:
    return jobs_now(sweep, sweep_dir, _cluster(sweep), host=platform.node(), now=now())


def _cluster(sweep: SweepRecord) -> dict[str, ClusterState]:
    """What Slurm says of the sweep's jobs."""
    ids = [job.job_id for job in sweep.jobs if job.job_id is not None and sweep.slurm_job_ids]
    if not ids:
        return {}
    if not slurm.is_here():
        raise UserError(
            "the sweep ran on Slurm, and this machine has no `squeue` to ask which of its jobs go on. Run this where "
            "the sweep was started",
            NO,
        )
    try:
        states = slurm.job_states(ids)
    except slurm.SlurmUnreachable as error:
        raise UserError(f"Slurm does not answer, so which jobs go on cannot be told: {error}", NO) from None
    forgotten = slurm.JobState(state="unknown to Slurm")
    return {
        job: ClusterState(is_over=state.is_over, text=f"Slurm {job}: {state}")
        for job, state in ((job, states.get(job, forgotten)) for job in ids)
    }


def _refuse_unless_possible(
    sweep: SweepRecord, paths: SweepPaths, reference: str, again: list[int], *, yes: bool
) -> None:
    if sweep.host == platform.node() and process_is_alive(sweep.pid, sweep.pid_started_at):
        raise UserError(
            f"{reference}: process {sweep.pid}, which launched the sweep, still runs and waits for its jobs. End it "
            "first",
            NO,
        )
    elsewhere = sweep.host != platform.node() and sweep.ended_at is None and not sweep.detached
    if elsewhere and not yes:
        raise UserError(
            f"{reference}: process {sweep.pid} on {sweep.host} launched the sweep and may still wait for its jobs, "
            f"which cannot be seen from here. Run this on {sweep.host}, or where that process is gone: "
            f"repro-hydra resume --yes {reference}",
            NO,
        )
    if sweep.sweeper != "basic":
        raise UserError(
            f"{reference}: expected a sweeper that knows its jobs beforehand (basic), found {sweep.sweeper}, which "
            "chooses each job by the results of those before. Start the sweep again",
            NO,
        )
    if sweep.entry.get("kind") not in ("script", "module"):
        raise UserError(f"{reference}: its record does not say how the program was started", NO)
    words = [*sweep.argv, *(word for job in sweep.jobs if job.num in again for word in job.overrides)]
    secret = next((word for word in words if PLACEHOLDER in word), None)
    if secret is not None:
        raise UserError(
            f"{secret}: holds a secret, which no record keeps, so the jobs cannot be composed again. Give it by a "
            "variable: ${oc.env:NAME} in the config",
            NO,
        )
    who = sweep_vouched(paths, sweep, user_key(os.environ))
    if who != "this user" and not yes:
        raise UserError(
            f"not run: expected this user's key to vouch for its command and jobs, found {_WHO[who]}. If you trust "
            f"them and the code behind them: repro-hydra resume --yes {reference}"
        )


def _start(sweep: SweepRecord, sweep_dir: Path, again: list[int]) -> int:
    """Run the sweep's own command once more, told which jobs are meant; its exit status."""
    target = str(sweep.entry["target"])
    program = ["-m", target] if sweep.entry["kind"] == "module" else [target]
    command = [sys.executable, *program, *sweep.argv[1:]]
    with TemporaryFolder("resume") as folder:
        file = folder / "again.json"
        mine = Again(sweep_dir=str(sweep_dir), numbers=again, resumed=len(sweep.resumed))
        file.write_bytes(msgspec.json.encode(mine))
        environ = {**os.environ, VARIABLE: str(file), "PWD": sweep.cwd}
        try:
            done = subprocess.run(command, cwd=sweep.cwd, env=environ, stdout=sys.stderr, check=False)
        except OSError as error:
            raise UserError(
                f"{command[0]}: cannot be started in {sweep.cwd} ({error.strerror})", NO
            ) from None
    return done.returncode


def _document(
    sweep: SweepRecord,
    sweep_dir: Path,
    again: list[int],
    before: list[JobNow],
    after: list[JobNow],
    *,
    ok: bool,
) -> dict[str, Any]:
    return {
        "ok": ok,
        "sweep_id": sweep.sweep_id,
        "dir": str(sweep_dir),
        "again": again,
        "jobs": [
            {
                "num": one.job.num,
                "overrides": one.job.overrides,
                "dir": None if one.dir is None else str(one.dir),
                "before": earlier.status,
                "status": one.status,
                "reason": one.reason,
            }
            for earlier, one in zip(before, after, strict=True)
        ],
    }


def _show(sweep_dir: Path, again: list[int], after: list[JobNow], *, dry_run: bool) -> None:
    rows = [
        [str(one.job.num), one.status, one.state, " ".join(one.job.overrides), one.reason]
        for one in after
        if one.state != "completed"
    ]
    if rows:
        print(lay_out(_COLUMNS, [[clean(cell) for cell in row] for row in rows]), end="")
    completed = sum(one.state == "completed" for one in after)
    verb = "would be submitted again" if dry_run else "were submitted again"
    print(f"{shorten_home(str(sweep_dir))}: {completed} of {len(after)} completed, {len(again)} {verb}")
