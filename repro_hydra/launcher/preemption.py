"""When the cluster takes a job's node back: the job ends in order, and is queued again.

Submitit's own handlers requeue from within the signal, whatever the task is at. Here the signal unwinds the task first,
so that a checkpoint is made and the record says how it ended; then submitit requeues as it would have.

SIGUSR2 comes ahead of a time limit or by hand, and submitit asks Slurm to queue the job again. SIGTERM comes with
``scancel``, which is final, and with the preemption of a partition: Slurm queues a job again that it has to kill at the
end of the grace time, but takes one that ends by itself before for finished. So the batch script says it to Slurm
(`repro_hydra.launcher.batch_script`).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from repro_hydra.checkpoint.preemption import Preempted
from repro_hydra.forked_signals import dropped_in_forks, end_forked_child, put_off
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.schema import ErrorInfo
from repro_hydra.record.store import RecordError, update
from repro_hydra.record.times import utc_now
from repro_hydra.session.ending import Terminated
from repro_hydra.session.say import say

TAKEN_BACK_BY = (signal.SIGTERM, *([signal.SIGUSR2] if hasattr(signal, "SIGUSR2") else []))

_REQUEUED_S = 20.0


@contextmanager
def requeued_when_taken_back(run_dir: str) -> Iterator[None]:
    """Around a job in submitit's process: unwind it at the first of `TAKEN_BACK_BY`, then requeue it.

    Within `repro_hydra.resumable` the signal makes a checkpoint first, and `Preempted` comes out of the task.

    Raises
    ------
    Terminated, Preempted
        This process is to end; Slurm has been asked for another attempt, or makes one by itself.
    submitit.core.utils.UncompletedJobError
        Submitit does not queue the job again, and says why (it has timed out too many times).
    """
    submitits: dict[int, Any] = {signum: signal.getsignal(signum) for signum in TAKEN_BACK_BY}
    take = _take_once()
    for signum in TAKEN_BACK_BY:
        signal.signal(signum, take)
    try:
        with dropped_in_forks(take, *TAKEN_BACK_BY):  # a forked child has nothing to finish
            yield
    except (Terminated, Preempted) as error:
        requeue = submitits[signal.SIGUSR2]
        if _name_of(error) == "SIGUSR2" and callable(requeue):
            _requeue(requeue, error, run_dir)
        raise
    finally:
        for taken_back_by, handler in submitits.items():
            signal.signal(taken_back_by, handler)


def _take_once() -> Callable[[int, FrameType | None], None]:
    """A handler that unwinds the main thread once; what comes after must not disturb the unwinding."""
    owner = os.getpid()
    taken: list[int] = []

    def take(signum: int, frame: FrameType | None) -> None:
        end_forked_child(owner, signum)
        if not taken and not put_off(signum, frame):
            taken.append(signum)
            raise Terminated(signum)

    return take


def _name_of(error: Terminated | Preempted) -> str:
    return error.reason if isinstance(error, Preempted) else signal.Signals(error.signum).name


def _requeue(requeue: Callable[[int, None], None], error: SystemExit, run_dir: str) -> None:
    """Have submitit queue the job again; it leaves by SystemExit once it has."""
    try:
        requeue(signal.SIGUSR2, None)
    except SystemExit:
        raise error from None
    except Exception as refusal:
        path = RunPaths(Path(run_dir)).run
        info = ErrorInfo(type=type(refusal).__name__, message=str(refusal))
        try:
            update(path, {"status": "failed", "error": info, "ended_at": utc_now()})
        except (RecordError, OSError) as problem:
            say(f"{path}: could not be brought up to date ({problem})")
        raise
    if os.environ.get("SLURM_PROCID", "0") != "0":
        _wait_to_be_ended()
    raise error


def _wait_to_be_ended() -> None:
    """Another rank than the first: its own end might end the job step before rank 0 has queued the job again."""
    end = time.monotonic() + _REQUEUED_S
    while time.monotonic() < end:
        time.sleep(0.1)
