"""Jobs that outlive the process which launched them: the last of them removes the sweep's frozen code.

A job of a cluster goes on when its sweep was interrupted, or was not to be waited for. Each leaves a mark when it has
ended; once the launching process has left, whoever finds the marks of all jobs clears up.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from repro_hydra.code.frozen_tree import FrozenTree
from repro_hydra.launcher.freezing import release_sweep
from repro_hydra.record.paths import SweepPaths
from repro_hydra.record.schema import SweepJob
from repro_hydra.session.process import rank_and_world

_MARKS, _LEFT, _CLEARING = "ended", "left", "clearing"


def note_end(frozen: FrozenTree, job_num: int, sweep_dir: Path, environ: Mapping[str, str]) -> None:
    """A job, or one rank of it, has ended for good."""
    rank, world = rank_and_world(environ)
    marks = Path(frozen.folder, _MARKS)
    try:
        marks.mkdir(exist_ok=True)
        (marks / f"{job_num}.{rank}.{world}").touch()
    except OSError:
        return  # the sweep has cleared up already
    _clear_if_last(frozen, sweep_dir)


def let_code_go(frozen: FrozenTree, jobs: Sequence[SweepJob], paths: SweepPaths, *, jobs_go_on: bool) -> None:
    """The launching process needs the copy no more: it goes, unless `jobs` outlive that process and need it."""
    if not Path(frozen.folder).is_dir():
        return
    waited_for = all(job.status != "planned" for job in jobs)
    if waited_for or not jobs_go_on:
        release_sweep(frozen, paths)
    else:
        leave_to_jobs(frozen, len(jobs), paths.sweep_dir)


def leave_to_jobs(frozen: FrozenTree, jobs: int, sweep_dir: Path) -> None:
    """The launching process leaves; its `jobs` jobs may be running, waiting or over."""
    file = Path(frozen.folder, _LEFT)
    part = file.with_suffix(".part")
    part.write_text(str(jobs))
    part.replace(file)
    _clear_if_last(frozen, sweep_dir)


def _clear_if_last(frozen: FrozenTree, sweep_dir: Path) -> None:
    left = Path(frozen.folder, _LEFT)
    try:
        jobs = int(left.read_text())
        if len(_ended(Path(frozen.folder, _MARKS))) < jobs:
            return
        os.rename(left, left.with_name(_CLEARING))  # noqa: PTH104 (of two that end at once, one succeeds)
    except OSError:
        return  # the launching process is still there, or another job is faster
    release_sweep(frozen, SweepPaths(sweep_dir))


def _ended(marks: Path) -> set[str]:
    """The jobs all of whose ranks have ended."""
    ranks: dict[tuple[str, str], int] = {}
    for mark in marks.glob("*.*.*"):
        job, _, world = mark.name.split(".")
        ranks[job, world] = ranks.get((job, world), 0) + 1
    return {job for (job, world), count in ranks.items() if count >= int(world)}
