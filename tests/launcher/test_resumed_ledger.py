"""The record of a sweep that goes on: what became of jobs that nobody waited for."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro_hydra.config import ReproConf
from repro_hydra.launcher.resuming import _ResumedLedger
from repro_hydra.launcher.sweep_ledger import SweepLedger
from repro_hydra.record.paths import RunPaths, SweepPaths
from repro_hydra.record.schema import RunRecord, SweepJob, SweepLink, SweepRecord
from repro_hydra.record.store import read, write_json
from repro_hydra.session.child import completed_by_earlier_attempt

SWEEP = "5" * 32
NOW = "2026-11-25T10:00:00Z"


def run_of(place: Path, status: str, number: int, sweep: str = SWEEP, **slurm: str) -> None:
    paths = RunPaths(place)
    paths.record.mkdir(parents=True)
    link = SweepLink(id=sweep, dir="/s", job_num=number)
    run = RunRecord(
        run_id="a" * 32, mode="strict", status="running", created_at=NOW, sweep=link, slurm=dict(slurm)
    )
    write_json(paths.run, {**_plain(run), "status": status})


def _plain(run: RunRecord) -> dict[str, object]:
    import msgspec

    return dict(msgspec.to_builtins(run))


def test_jobs_that_completed_while_nobody_waited_do_not_go_on_for_ever(tmp_path: Path) -> None:
    """Only this sweep's own, under their own number; what failed may be queued again, and what never began goes on."""
    for number, status in enumerate(["completed", "failed", "running"]):
        run_of(tmp_path / str(number), status, number)
    run_of(tmp_path / "3", "completed", 3, sweep="6" * 32)
    run_of(tmp_path / "4", "completed", 9)
    jobs = [
        SweepJob(num=number, overrides=[], dir=str(number), job_id=f"7_{number}") for number in range(6)
    ] + [SweepJob(num=6, overrides=[], dir=None, job_id="7_6")]
    paths = SweepPaths(tmp_path)
    paths.record.mkdir()
    record = SweepRecord(
        sweep_id=SWEEP, mode="strict", created_at=NOW, sweeper="basic", launcher="x", jobs=jobs
    )
    ledger = _ResumedLedger(paths, record, on_slurm=True, check_writer=lambda: None)
    ledger.note_records()
    kept = read(paths.sweep, SweepRecord)
    assert [job.status for job in kept.jobs] == ["completed", *["planned"] * 6]
    assert ledger.jobs_go_on
    ledger.save(jobs=kept.jobs[:1])
    assert not ledger.jobs_go_on


@pytest.mark.parametrize(("restarts", "earlier"), [("1", True), ("0", False)])
def test_a_rank_knows_a_completed_run_of_an_earlier_attempt(
    tmp_path: Path, restarts: str, earlier: bool
) -> None:
    """Slurm runs a job again that ended within its grace time; rank 0 then begins no record to wait for."""
    run_of(tmp_path / "0", "completed", 0, job_id="7", restarts="0")
    here = {"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": restarts}
    assert completed_by_earlier_attempt(tmp_path / "0", here) is earlier


def test_who_was_replaced_writes_no_more(tmp_path: Path) -> None:
    """Another process owns the sweep directory by now: its record stays as that one has it."""
    paths = SweepPaths(tmp_path)
    paths.record.mkdir()
    paths.sweep.write_text("the new owner's")
    record = SweepRecord(sweep_id=SWEEP, mode="strict", created_at=NOW, sweeper="basic", launcher="x")

    def ends() -> None:
        raise SystemExit(75)

    ledger = SweepLedger(paths, record, on_slurm=False, check_writer=ends)
    for write in (ledger.save, lambda: ledger.begin(None, {}, ReproConf())):
        with pytest.raises(SystemExit):
            write()
    assert paths.sweep.read_text() == "the new owner's"
    assert not paths.earlier.exists()
