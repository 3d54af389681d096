"""How a job ended, in the record's words."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from repro_hydra.checkpoint.preemption import SIGNALS, Preempted
from repro_hydra.forked_signals import dropped_in_forks, end_forked_child, put_off
from repro_hydra.record.redact import hide, known_secrets, redact_text
from repro_hydra.record.schema import ErrorInfo, Status
from repro_hydra.session.users_frames import from_the_task


class Terminated(SystemExit):
    """SIGTERM, raised in the main thread so that the job's own cleanup and ours run.

    A cluster also sends SIGUSR2, some time before it takes the machine away.
    """

    def __init__(self, signum: int = signal.SIGTERM) -> None:
        super().__init__(128 + signum)
        self.signum = signum

    def __reduce__(self) -> tuple[type[Terminated], tuple[int]]:
        return type(self), (self.signum,)  # it travels from a job's process to its worker


@contextmanager
def terminating() -> Iterator[None]:
    """Turn SIGTERM into `Terminated`, so that records are finished; a handler of the user's own stays."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    owner = os.getpid()

    def terminate(number: int, frame: FrameType | None) -> None:
        end_forked_child(owner, number)
        if not put_off(number, frame):
            raise Terminated

    signal.signal(signal.SIGTERM, terminate)
    try:
        with dropped_in_forks(terminate, signal.SIGTERM):  # a forked child has nothing to finish
            yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def ending_first() -> Iterator[None]:
    """Within it no signal disturbs the writing of how the job ended; it comes to whoever heard it before, after that.

    Where one rank fails, torchrun tells the others to end within a tenth of a second, and what had happened to them was
    lost with a half-written record.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        end_forked_child(owner, number)
        came.append(number)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    ours = [number for number, handler in before.items() if handler is not None]  # None: set by C code
    for number in ours:
        signal.signal(number, note)
    try:
        with dropped_in_forks(note, *ours):
            yield
    finally:
        for number in ours:
            signal.signal(number, before[number])
    for number in came[:1]:
        signal.raise_signal(number)


def ending(error: BaseException | None) -> tuple[Status, ErrorInfo | None]:
    """Status and error for what left the task: None for a return.

    ``sys.exit()`` and ``sys.exit(0)`` are a return by another door.
    """
    if error is None:
        return "completed", None
    if isinstance(error, Preempted):
        message = "a checkpoint was made, and the process ended as it was asked to"
        return "preempted", ErrorInfo(type=error.reason, message=message)
    if isinstance(error, (KeyboardInterrupt, Terminated)):
        if isinstance(error, KeyboardInterrupt):
            return "interrupted", ErrorInfo(type="KeyboardInterrupt", message="interrupted from outside")
        name = signal.Signals(error.signum).name
        if "SLURM_JOB_ID" in os.environ:
            return "preempted", ErrorInfo(type=name, message="Slurm takes the job's node back")
        return "interrupted", ErrorInfo(type=name, message="interrupted from outside")
    if isinstance(error, SystemExit) and error.code in (None, 0):
        return "completed", None
    if isinstance(error, SystemExit):
        return "failed", ErrorInfo(type="SystemExit", message=_redacted(f"sys.exit({error.code!r})"))
    return "failed", ErrorInfo(
        type=type(error).__name__,
        message=_redacted(str(error)),
        traceback=_redacted(_shown(error)),
    )


def _shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(type(error), error, from_the_task(error.__traceback__)))


def _redacted(text: str) -> str:
    return str(hide(redact_text(text), known_secrets(os.environ)))
