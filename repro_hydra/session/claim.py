"""The run directory: one run's own, never overwritten."""

from __future__ import annotations

import itertools
import os
import platform
import shutil
from pathlib import Path

from repro_hydra.record.paths import RECORD_DIR, RunPaths
from repro_hydra.record.schema import Finding, RunRecord
from repro_hydra.record.status import process_is_alive
from repro_hydra.record.store import RecordError, read

_LEAST_FREE_BYTES = 2 << 20  # a record without a patch takes some 100 KB; Hydra's logs come on top


def check_directory(directory: Path, *, stamped: bool, goes_on: bool = False) -> list[Finding]:
    """What stands against `directory` becoming a run's (or a sweep's) own. Creates nothing.

    Parameters
    ----------
    stamped : bool
        Its name holds the time, so that a taken one is a coincidence and another is chosen.
    goes_on : bool
        The run in it is to be continued.
    """
    findings = [*_check_writable(directory)]
    if not stamped and not goes_on and (directory / RECORD_DIR).is_dir():
        findings.append(
            Finding(
                id="run-directory-taken",
                severity="blocks",
                message=(
                    f"{directory}: expected a directory of its own, found the record of {_who(directory)}. "
                    "Choose another with hydra.run.dir=… (hydra.sweep.dir=… for a sweep), or go on with an interrupted "
                    "run: hydra.callbacks.repro.resume=true"
                ),
            )
        )
    return findings


def _check_writable(directory: Path) -> list[Finding]:
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    if not existing.is_dir():
        return [
            Finding(
                id=f"output-not-writable:{directory}",
                severity="blocks",
                message=f"{directory}: expected a directory, but {existing} is a file. Choose another hydra.run.dir=…",
            )
        ]
    if not os.access(existing, os.W_OK | os.X_OK):
        return [
            Finding(
                id=f"output-not-writable:{directory}",
                severity="blocks",
                message=(
                    f"{directory}: expected to be able to write, but {existing} is read-only for this user. "
                    "Choose another hydra.run.dir=…"
                ),
            )
        ]
    free = shutil.disk_usage(existing).free
    if free < _LEAST_FREE_BYTES:
        return [
            Finding(
                id=f"output-full:{directory}",
                severity="blocks",
                message=(
                    f"{directory}: expected room for a record, found {free} bytes free on its disk. "
                    "Make room, or choose another hydra.run.dir=…"
                ),
            )
        ]
    return []


def reserve_stamped(directory: Path) -> Path:
    """Create `directory`, or the first of ``directory_1``, ``directory_2`` … that nobody has.

    Two runs started in the same second have the same stamped name; creating it tells who was first.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count():
        candidate = directory if number == 0 else directory.with_name(f"{directory.name}_{number}")
        try:
            candidate.mkdir()
        except FileExistsError:
            continue
        return candidate
    raise AssertionError  # count() does not end


def claim_record(paths: RunPaths) -> Path | None:
    """Make the record's directory for this run; an earlier run's record is kept aside.

    Returns
    -------
    Path or None
        Where the earlier record lies now.

    Raises
    ------
    FileExistsError
        The earlier run is still running.
    """
    paths.run_dir.mkdir(parents=True, exist_ok=True)
    kept = None
    try:
        paths.record.mkdir()
    except FileExistsError:
        earlier = _read_earlier(paths)
        if earlier is not None:
            check_not_running(paths, earlier)
        kept = _put_aside(paths, earlier)
        paths.record.mkdir()
    return kept


def check_not_running(paths: RunPaths, earlier: RunRecord) -> None:
    """Raise `FileExistsError` where the run of that record is still running."""
    if _still_runs(earlier):
        raise FileExistsError(
            f"{paths.run_dir}: run {earlier.run_id} (process {earlier.pid}) is still writing there. "
            "Choose another hydra.run.dir=…"
        )


def _put_aside(paths: RunPaths, earlier: RunRecord | None) -> Path:
    paths.earlier.mkdir(exist_ok=True)
    stem = earlier.run_id[:12] if earlier is not None else "unreadable"
    for number in itertools.count():
        target = paths.earlier / (stem if number == 0 else f"{stem}_{number}")
        if not target.exists():
            paths.record.rename(target)
            return target
    raise AssertionError  # count() does not end


def _read_earlier(paths: RunPaths) -> RunRecord | None:
    try:
        return read(paths.run, RunRecord)
    except RecordError:
        return None


def _still_runs(run: RunRecord) -> bool:
    if run.status not in ("created", "running") or run.host != platform.node():
        return False
    return run.pid != os.getpid() and process_is_alive(run.pid, run.pid_started_at)


def _who(directory: Path) -> str:
    earlier = _read_earlier(RunPaths(directory))
    if earlier is None:
        return "another run"
    return f"run {earlier.run_id[:8]} ({earlier.status}, created {earlier.created_at})"
