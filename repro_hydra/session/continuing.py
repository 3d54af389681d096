"""Going on with a run that was interrupted: in its directory, under its id, from its newest checkpoint.

A job of a sweep goes on by itself when it is started again (Slurm requeued it, or `repro-hydra resume`): sweep and
number say that it is the same. A single run goes on where ``hydra.callbacks.repro.resume=true`` asks for it.
"""

from __future__ import annotations

import logging
import os
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from repro_hydra.checkpoint.errors import OtherVersion
from repro_hydra.checkpoint.rank_sets import OtherWorld, newest_of_either
from repro_hydra.checkpoint.shelf import Kept, Shelf
from repro_hydra.fingerprint.log import FingerprintsSoFar
from repro_hydra.record.paths import ATTEMPTS, CHECKPOINTS, LOCK, RECORD_DIR, TRACKING, RunPaths
from repro_hydra.record.schema import JSON, RunRecord
from repro_hydra.record.store import RecordError, cut_to, read
from repro_hydra.record.times import parse_utc, utc_now
from repro_hydra.record.values import OBJECTIVE, from_json_number
from repro_hydra.session.findings import Misuse
from repro_hydra.session.metrics import MetricsSoFar
from repro_hydra.session.plan import Job, Plan
from repro_hydra.session.say import say

_STAYS = {f"{RECORD_DIR}-earlier", ".hydra", RECORD_DIR}
_STAYS_IN_RECORD = {ATTEMPTS, CHECKPOINTS, TRACKING, "run.json"}
_COPIED = (
    "run.json",
    "environment.json",
    "determinism.json",
    "data.json",
    "metrics.jsonl",
    "fingerprints.jsonl",
)
_OF_ITS_END = ("result.json", "manifest.json", "vouch.json")


class Continuation(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier attempt at this very job, and what is left of it."""

    earlier: RunRecord
    kept: Kept | None
    """Its newest checkpoint that is whole."""

    @property
    def metrics(self) -> MetricsSoFar | None:
        part = None if self.kept is None else self.kept.header.parts.get("metrics")
        return None if part is None else msgspec.convert(part, MetricsSoFar)

    @property
    def fingerprints(self) -> FingerprintsSoFar | None:
        """How far they had been taken at the checkpoint; None where none were."""
        part = None if self.kept is None else self.kept.header.parts.get("fingerprints")
        return None if part is None else msgspec.convert(part, FingerprintsSoFar)

    @property
    def given(self) -> dict[str, JSON]:
        """What `log_result` had been given at the checkpoint."""
        return {} if self.kept is None else dict(self.kept.header.parts.get("given", {}))

    def run(self, new: RunRecord) -> RunRecord:
        """The record of the attempt that begins: the same run, one restart more."""
        earlier = self.earlier
        return msgspec.structs.replace(
            new,
            run_id=earlier.run_id,
            created_at=earlier.created_at,
            started_at=earlier.started_at,
            restarts=[*earlier.restarts, self._restart()],
        )

    def _restart(self) -> dict[str, JSON]:
        earlier = self.earlier
        error = earlier.error
        header = None if self.kept is None else self.kept.header
        return {
            "at": utc_now(),
            "reason": error.type if error is not None else "lost",
            "status": earlier.status if earlier.status not in ("created", "running") else "lost",
            "step": 0 if header is None else header.step,
            "epoch": 0 if header is None else header.epoch,
            "checkpoint": None if self.kept is None else self.kept.path.name,
            "attempt": len(earlier.restarts) + 1,
            "host": earlier.host,
            "pid": earlier.pid,
            "ran_s": _ran_s(earlier),
        }


def earlier_s(run: RunRecord) -> float:
    """How long the attempts before this one ran, in seconds."""
    return sum(float(restart.get("ran_s") or 0.0) for restart in run.restarts)


def earlier_attempt(paths: RunPaths, plan: Plan, job: Job) -> RunRecord | None:
    """The record in the run's directory, where it is of the very job that is about to start; else None."""
    try:
        earlier = read(paths.run, RunRecord)
    except RecordError:
        return None
    if plan.recorded is not None:
        return None
    if plan.sweep is not None:
        link = earlier.sweep
        same = link is not None and link.id == plan.sweep.sweep_id and link.job_num == job.num
        return earlier if same else None
    return earlier if plan.options.resume and earlier.sweep is None else None


def value_if_completed(paths: RunPaths, plan: Plan, job: Job) -> tuple[bool, Any]:
    """Whether the job has completed already, and what it returned then (as far as its record tells).

    Slurm runs a job again that ended within its grace time.
    """
    earlier = earlier_attempt(paths, plan, job)
    if earlier is None or earlier.status != "completed":
        return False, None
    try:
        found = msgspec.json.decode(paths.result.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError):
        return False, None
    values = {name: value if (x := from_json_number(value)) is None else x for name, value in found.items()}
    return True, values[OBJECTIVE] if set(values) == {OBJECTIVE} else values


def continuation_of(paths: RunPaths, earlier: RunRecord) -> Continuation:
    """What `earlier` left to go on from.

    Raises
    ------
    Misuse
        Its newest checkpoint is of another version of this package, or of another number of ranks.
    """
    Shelf(paths.checkpoints, say=say).clean()
    try:
        kept = newest_of_either(paths.checkpoints, earlier.world_size, say)
        return Continuation(earlier=earlier, kept=kept)
    except (OtherVersion, OtherWorld) as error:
        raise Misuse(
            f"{error}, or take the checkpoints away to start from the top: {paths.checkpoints}"
        ) from None


def make_way(paths: RunPaths, found: Continuation) -> Path:
    """Prepare the run directory for the next attempt, and return where the earlier one's leavings are.

    With a checkpoint the outputs stay and the metrics end where it was made; without one all outputs are put aside.
    ``run.json`` stays in its place throughout, so that whatever is interrupted here can be done once more.
    """
    aside = paths.attempts / str(len(found.earlier.restarts) + 1)
    aside.mkdir(parents=True, exist_ok=True)
    for name in _COPIED:
        if (paths.record / name).exists() and not (aside / name).exists():
            shutil.copy2(paths.record / name, aside / name)
    if found.kept is None:
        _put_outputs_aside(paths, aside)
    else:
        for name in _OF_ITS_END:
            (paths.record / name).unlink(missing_ok=True)
        if found.metrics is not None:
            cut_to(paths.metrics, found.metrics.size_bytes)
        cut_to(paths.fingerprints, 0 if found.fingerprints is None else found.fingerprints.size_bytes)
    return aside


def _put_outputs_aside(paths: RunPaths, aside: Path) -> None:
    outputs = aside / "outputs"
    outputs.mkdir(exist_ok=True)
    logs = _open_logs()
    for entry in sorted(paths.run_dir.iterdir()):
        if (
            entry.name in _STAYS
            or entry.name.startswith(LOCK)
            or (entry.is_dir() and any(entry.rglob(RECORD_DIR)))
        ):
            continue  # ours, Hydra's, or another run's
        if entry.resolve() in logs:
            # Hydra has opened it for this attempt already, to append: its content goes, the file stays.
            shutil.copy2(entry, outputs / entry.name)
            os.truncate(entry, 0)
        else:
            _move(entry, outputs / entry.name)
    for entry in sorted(paths.record.iterdir()):
        if entry.name not in _STAYS_IN_RECORD:
            _move(entry, aside / entry.name)


def _move(source: Path, target: Path) -> None:
    if target.exists():  # an earlier try at this very step, interrupted
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    source.rename(target)


def _open_logs() -> set[Path]:
    named = [logging.getLogger(name) for name in logging.root.manager.loggerDict]
    return {
        Path(handler.baseFilename).resolve()
        for logger in (logging.root, *named)
        for handler in logger.handlers
        if isinstance(handler, logging.FileHandler)
    }


def _ran_s(earlier: RunRecord) -> float | None:
    """How long the last attempt ran; of a killed one, up to its last sign of life."""
    before = earlier_s(earlier)
    if earlier.duration_s is not None:
        return max(earlier.duration_s - before, 0.0)
    begin = str(earlier.restarts[-1]["at"]) if earlier.restarts else earlier.started_at
    if begin is None or earlier.heartbeat_at is None:
        return None
    return max(_seconds_between(parse_utc(begin), parse_utc(earlier.heartbeat_at)), 0.0)


def _seconds_between(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds()
