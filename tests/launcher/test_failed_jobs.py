"""`repro_hydra.launcher.failed_jobs`: what Hydra is told in place of the error that a sweep ended with."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException, InstantiationException

from repro_hydra.launcher.failed_jobs import FailedJobs, SweepJobFailed
from repro_hydra.launcher.spec import JobDied
from repro_hydra.record.schema import SweepJob

JOBS = [SweepJob(num=4, overrides=[], dir=None)]


def shown(error: Exception, folder: Path, *, of_a_job: bool = True) -> Exception:
    """What becomes of `error`, with which job 4 has failed (or nobody)."""
    failed = FailedJobs()
    if of_a_job:
        job = JobReturn()
        job.status, job.return_value = JobStatus.FAILED, error
        failed.note([job], [4])
    return failed.as_shown(error, JOBS, folder)


def test_an_error_from_another_process_is_told_without_hydras_frames(tmp_path: Path) -> None:
    """By its own words, or its type and text; and by a class that Hydra prints as it is."""
    for error, text in (
        (ValueError("no such layer"), "job #4: ValueError: no such layer"),
        (JobDied("was killed by SIGKILL"), "job #4: was killed by SIGKILL"),
    ):
        told = shown(error, tmp_path)
        assert isinstance(told, SweepJobFailed)
        assert str(told) == text


def test_what_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweeper's own error, one that Hydra tells shortly, one of a job in this process, and all where all is asked."""
    own, short = HydraException("the study is gone"), InstantiationException("no such class")
    assert shown(own, tmp_path, of_a_job=False) is own
    assert shown(short, tmp_path) is short

    def run_job() -> None:
        raise ValueError("here")

    with pytest.raises(ValueError, match="here") as here:
        run_job()
    assert shown(here.value, tmp_path) is here.value
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    for error in (ValueError("x"), JobDied("y")):
        assert shown(error, tmp_path) is error
