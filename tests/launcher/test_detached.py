"""A sweep directory whose jobs go on without the process that launched them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from repro_hydra.launcher.detached import refuse_while_jobs_go_on
from repro_hydra.record.paths import SweepPaths
from repro_hydra.record.schema import SweepJob, SweepRecord
from repro_hydra.record.store import write_json
from repro_hydra.session.findings import Misuse


def left(place: Path, *statuses: str) -> SweepPaths:
    """The record of a sweep that was submitted, its jobs in these states as far as it knows."""
    paths = SweepPaths(place)
    paths.record.mkdir(parents=True)
    jobs = [
        SweepJob(num=number, overrides=[], dir=str(number), job_id=f"7_{number}", status=status)  # type: ignore[arg-type]
        for number, status in enumerate(statuses)
    ]
    record = SweepRecord(
        sweep_id="5" * 32, mode="standard", created_at="2026-11-25T10:00:00Z", sweeper="basic",
        launcher="submitit_slurm", jobs=jobs, slurm_job_ids=["7"],
    )  # fmt: skip
    write_json(paths.sweep, record)
    return paths


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A controller that answers with the lines of this file, and fails where it is not there; no accounting."""
    answer, commands = tmp_path / "answer", tmp_path / "commands"
    commands.mkdir()
    for name, line in (("squeue", f"cat {answer}"), ("sacct", "exit 1")):
        (commands / name).write_text(f"#!/bin/sh\n{line}\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    return answer


def test_jobs_that_the_cluster_still_has_keep_their_directory(tmp_path: Path, squeue: Path) -> None:
    """Waiting or running; what is over, or forgotten, keeps nobody out."""
    paths = left(tmp_path / "sweep", "planned", "planned", "completed")
    squeue.write_text("7_0|RUNNING|n1|None\n7_1|PENDING||Priority\n7_2|RUNNING|n1|None\n")
    with pytest.raises(Misuse, match=r"wait or run on Slurm \(7_0, 7_1\)\. Choose another directory"):
        refuse_while_jobs_go_on(paths)
    squeue.write_text("7_0|CANCELLED|n1|None\n")
    refuse_while_jobs_go_on(paths)
    squeue.unlink()
    with pytest.raises(Misuse, match="cannot be told, since Slurm does not answer"):
        refuse_while_jobs_go_on(paths)


def test_nobody_is_asked_of_jobs_that_have_ended(tmp_path: Path, squeue: Path) -> None:
    """And nobody where no sweep was."""
    assert not squeue.exists()
    refuse_while_jobs_go_on(left(tmp_path / "sweep", "completed", "failed"))
    refuse_while_jobs_go_on(SweepPaths(tmp_path / "none"))
