from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from typing import Any

import psutil
import pytest

from repro_hydra.record.schema import RunRecord
from repro_hydra.record.status import SILENCE_THAT_MEANS_LOST, process_is_alive, shown_status
from repro_hydra.record.times import format_utc, parse_utc, utc_now

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=timezone.utc)


def run(**fields: Any) -> RunRecord:
    values = {
        "run_id": "a" * 32,
        "mode": "strict",
        "status": "running",
        "created_at": format_utc(NOW),
        **fields,
    }
    return RunRecord(**{"host": "here", **values})


def shown(record: RunRecord, *, host: str = "here", later: timedelta = timedelta(0)) -> str:
    return shown_status(record, host=host, now=NOW + later)


@pytest.mark.parametrize("status", ["completed", "failed", "interrupted", "preempted"])
def test_a_run_that_ended_is_shown_as_it_ended(status: str) -> None:
    assert shown(run(status=status, pid=0), later=timedelta(days=9)) == status


def test_a_run_whose_process_lives_is_running() -> None:
    started = psutil.Process().create_time()
    assert shown(run(pid=os.getpid(), pid_started_at=started), later=timedelta(days=9)) == "running"


@pytest.mark.parametrize("status", ["running", "created"])
def test_a_run_whose_process_is_gone_is_lost(status: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    assert shown(run(status=status, pid=child.pid)) == "lost"


def test_a_process_that_nobody_waited_for_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    try:
        while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
            pass
        assert shown(run(pid=child.pid)) == "lost"
    finally:
        child.wait()


def test_a_number_that_another_process_has_now_is_told_apart() -> None:
    started = psutil.Process().create_time()
    assert shown(run(pid=os.getpid(), pid_started_at=started - 3600)) == "lost"
    assert process_is_alive(os.getpid(), started)
    assert process_is_alive(os.getpid(), None)
    assert not process_is_alive(0, None)
    assert not process_is_alive(-1, None)


def test_on_another_host_the_heartbeat_decides() -> None:
    record = run(pid=os.getpid(), heartbeat_at=format_utc(NOW))
    assert shown(record, host="elsewhere", later=SILENCE_THAT_MEANS_LOST) == "running"
    assert shown(record, host="elsewhere", later=SILENCE_THAT_MEANS_LOST + timedelta(seconds=1)) == "lost"


def test_without_a_heartbeat_its_creation_counts_and_garbage_is_silence() -> None:
    assert shown(run(heartbeat_at=None), host="elsewhere") == "running"
    assert shown(run(heartbeat_at="yesterday"), host="elsewhere") == "lost"


def test_times_are_utc_and_read_back_equal() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=2)))
    assert format_utc(moment) == "2026-01-02T01:04:05.000006Z"
    assert parse_utc(format_utc(moment)) == moment
    assert parse_utc("2026-01-02T03:04:05+02:00") == moment.replace(microsecond=0)
    assert parse_utc(utc_now()).utcoffset() == timedelta(0)


@pytest.mark.parametrize("text", ["", "2026-01-02T03:04:05", "10:00", "x"])
def test_a_time_without_zone_or_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_utc(text)


def test_a_moment_that_does_not_know_its_zone_cannot_be_recorded() -> None:
    with pytest.raises(ValueError, match="time zone"):
        format_utc(datetime(2026, 1, 2))
