"""What processes that were killed left behind: frozen copies of code, scratch folders."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import psutil

from repro_hydra.code.freeze import Owner, copies_of
from repro_hydra.code.frozen_tree import FrozenTree
from repro_hydra.code.release import release
from repro_hydra.record.paths import SweepPaths
from repro_hydra.record.schema import SweepRecord
from repro_hydra.record.status import process_is_alive
from repro_hydra.record.store import RecordError, read
from repro_hydra.temporary import PREFIX, is_held

SCRATCH_AGE_S = 24 * 3600.0
"""A scratch folder whose process does not hold it is nobody's: untouched for so long, and no process is in it."""


def frozen_left(place: Path, host: str, *, force: bool) -> tuple[list[FrozenTree], list[str]]:
    """The copies below `place` whose sweep is over, and why others stay."""
    over: list[FrozenTree] = []
    kept: list[str] = []
    for file in sorted(place.glob("*/owner.json")):
        folder = file.parent
        try:
            owner = read(file, Owner)
        except RecordError as error:
            kept.append(str(error))
            continue
        reason = _why_needed(owner, host, force)
        if reason is None:
            over.append(copies_of(owner, folder))
        else:
            kept.append(f"{folder}: {reason}")
    return over, kept


def _why_needed(owner: Owner, host: str, force: bool) -> str | None:
    if owner.host != host and not force:
        return f"its sweep was started on {owner.host}, and can be looked for there only"
    if owner.host == host and process_is_alive(owner.pid, owner.pid_started_at):
        return f"its sweep runs (process {owner.pid})"
    try:
        sweep = read(SweepPaths(Path(owner.sweep_dir)).sweep, SweepRecord)
    except RecordError:
        return None  # the sweep's directory was deleted
    if not force and "slurm" in sweep.launcher and any(job.status == "planned" for job in sweep.jobs):
        return "its jobs may still wait on Slurm (--force removes it all the same)"
    return None


def remove_frozen(frozen: FrozenTree) -> list[str]:
    """Remove a copy; what jobs wrote into it goes where the end of the sweep would have put it."""
    owner = read(frozen.owner_file, Owner)
    left = SweepPaths(Path(owner.sweep_dir)).left
    released = release(frozen, left)
    return [
        f"{path}: written by a job into the sweep's copy of the code"
        for path in (*released.moved, *released.kept)
    ]


def scratch_left(now: float, folder: Path | None = None) -> list[Path]:
    """Scratch folders of this user that nothing needs any more."""
    folder = folder or Path(tempfile.gettempdir())
    user = os.getuid() if hasattr(os, "getuid") else None
    old = []
    for path in sorted(folder.glob(f"{PREFIX}*")):
        try:
            state = path.lstat()
        except OSError:
            continue
        mine = user is None or state.st_uid == user
        if not path.is_dir() or path.is_symlink() or not mine or is_held(path):
            continue
        try:
            if now - _touched(path) > SCRATCH_AGE_S:
                old.append(path)
        except FileNotFoundError:
            continue  # somebody works in it, or removes it, at this moment
    busy = _working_directories() if old else set()
    return [path for path in old if not any(path == one or path in one.parents for one in busy)]


def _touched(path: Path) -> float:
    return max(entry.lstat().st_mtime for entry in (path, *path.iterdir()))


def _working_directories() -> set[Path]:
    found = set()
    for process in psutil.process_iter():
        try:
            found.add(Path(process.cwd()))
        except (psutil.Error, OSError):
            continue
    return found


def remove(paths: Iterable[Path]) -> list[str]:
    """What could not be removed, in sentences."""
    problems = []
    for path in paths:
        try:
            shutil.rmtree(path)
        except OSError as error:
            problems.append(f"{path}: {error.strerror}")
    return problems
