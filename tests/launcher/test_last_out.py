"""Jobs that outlive their sweep: the last one removes the frozen code, and none does so before."""

from __future__ import annotations

from pathlib import Path

from repro_hydra.code.frozen_tree import FrozenTree
from repro_hydra.launcher.last_out import leave_to_jobs, note_end


def copy_in(tmp_path: Path) -> FrozenTree:
    folder = tmp_path / "frozen"
    (folder / "tree").mkdir(parents=True)
    return FrozenTree(folder=str(folder), tree=str(folder / "tree"), top=str(tmp_path / "top"))


def test_the_last_job_clears_up(tmp_path: Path) -> None:
    """When the launching process has left and each rank of each job has ended; who comes later finds nothing."""
    frozen, sweep = copy_in(tmp_path), tmp_path / "sweep"
    two_ranks = [{"SLURM_PROCID": str(rank), "SLURM_NTASKS": "2"} for rank in (0, 1)]
    note_end(frozen, 0, sweep, {})
    assert Path(frozen.folder).exists()
    leave_to_jobs(frozen, 2, sweep)
    note_end(frozen, 1, sweep, two_ranks[0])
    note_end(frozen, 1, sweep, two_ranks[0])  # queued again: the same rank a second time
    assert Path(frozen.folder).exists()
    note_end(frozen, 1, sweep, two_ranks[1])
    assert not Path(frozen.folder).exists()
    note_end(frozen, 1, sweep, two_ranks[1])
    assert not Path(frozen.folder).exists()


def test_the_launching_process_leaves_last(tmp_path: Path) -> None:
    """All jobs were over by then: it clears up itself."""
    frozen, sweep = copy_in(tmp_path), tmp_path / "sweep"
    note_end(frozen, 7, sweep, {})
    assert Path(frozen.folder).exists()
    leave_to_jobs(frozen, 1, sweep)
    assert not Path(frozen.folder).exists()
