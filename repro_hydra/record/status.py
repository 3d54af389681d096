"""Whether a run that says ``running`` still runs."""

from __future__ import annotations

from datetime import datetime, timedelta

import psutil

from repro_hydra.record.schema import RunRecord, ShownStatus
from repro_hydra.record.times import parse_utc

HEARTBEAT_INTERVAL_S = 15.0
SILENCE_THAT_MEANS_LOST = timedelta(seconds=8 * HEARTBEAT_INTERVAL_S)
_START_TIME_TOLERANCE_S = 2.0


def shown_status(run: RunRecord, *, host: str, now: datetime) -> ShownStatus:
    """The status to show: a run whose process is gone is ``lost``.

    On the run's own host its process is looked up (by pid and start time, since pids are used again); from
    elsewhere its heartbeat decides.
    """
    if run.status not in ("created", "running"):
        return run.status
    if run.host == host:
        return run.status if process_is_alive(run.pid, run.pid_started_at) else "lost"
    return "lost" if _silent_too_long(run, now) else run.status


def process_is_alive(pid: int, started_at: float | None) -> bool:
    """Whether process `pid` exists and is the one that started at `started_at` (seconds since the epoch)."""
    if pid <= 0:
        return False
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return started_at is None or abs(process.create_time() - started_at) < _START_TIME_TOLERANCE_S
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True  # it exists, and belongs to somebody else


def _silent_too_long(run: RunRecord, now: datetime) -> bool:
    last_sign = run.heartbeat_at or run.created_at
    try:
        return now - parse_utc(last_sign) > SILENCE_THAT_MEANS_LOST
    except ValueError:
        return True
