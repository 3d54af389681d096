"""When somebody outside asks the process to make room: a checkpoint at the next step boundary, then the end.

USR1 and USR2 are what Slurm is told to send ahead of the time limit (``--signal``, submitit); TERM is all that
partition preemption and a node's shutdown send. While `listening`, each of them only leaves a note, which the loop
reads; once no step boundary is to come any more there is nothing to wait for, and it ends the process.
Imports no torch.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from repro_hydra.forked_signals import dropped_in_forks, end_forked_child, put_off

SIGNALS = tuple(getattr(signal, name) for name in ("SIGUSR1", "SIGUSR2", "SIGTERM") if hasattr(signal, name))
PREEMPTED_STATUS = 128
"""Added to the signal's number: the exit status of a process that made its checkpoint and stopped."""

_asked: list[tuple[int, str]] = []
"""Process id and reason: a fork inherits the note, but is not meant by it."""


class Preempted(SystemExit):
    """Ends the process after its checkpoint was made; no ``except Exception`` of the task stops it.

    Attributes
    ----------
    reason : str
        The signal's name, or what `request` was given.
    told : bool
        Whether it has been said what the run goes on from.
    """

    def __init__(self, reason: str, *, told: bool = True) -> None:
        self.reason = reason
        self.told = told
        number = getattr(signal, reason, signal.SIGTERM)
        super().__init__(PREEMPTED_STATUS + int(number))

    def __reduce__(self) -> tuple[type[Preempted], tuple[str]]:
        return type(self), (self.reason,)  # it travels from a job's process to its sweep


def request(reason: str = "SIGTERM") -> None:
    """Ask this process to make a checkpoint at its next step boundary and to end: what the signals do."""
    _asked.append((os.getpid(), reason))


def requested() -> str | None:
    """Who asked first: a signal's name, or the reason given to `request`; None while nobody did."""
    return next((reason for pid, reason in _asked if pid == os.getpid()), None)


def forget() -> None:
    """Take back what was asked."""
    _asked.clear()


class Listener:
    """Tells, for one loop, whether whoever asks for the end is to wait for it.

    Attributes
    ----------
    boundary_ahead : bool
        Whether the loop comes to a step boundary yet: so from before its first step until after its last.
    """

    def __init__(self) -> None:
        self.boundary_ahead = True


_listeners: list[Listener] = []


def to_end_now() -> str | None:
    """Who asked, where no loop comes to a boundary at which it could be answered; else None."""
    return None if any(listener.boundary_ahead for listener in _listeners) else requested()


@contextmanager
def listening() -> Iterator[Listener | None]:
    """Within it the signals leave a note instead of ending the process; afterwards the handlers are what they were.

    The first one that comes when no boundary is ahead raises `Preempted`, whatever the process is at.

    Yields
    ------
    Listener or None
        None in another thread than the main one, where Python lets nobody set a handler.
    """
    if threading.current_thread() is not threading.main_thread():
        yield None
        return
    owner = os.getpid()
    listener = Listener()
    ends = True

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal ends
        if os.getpid() == owner:
            request(signal.Signals(number).name)
            if ends and to_end_now() is not None and not put_off(number, frame):
                ends = False  # once: a second signal must not disturb the unwinding
                raise Preempted(signal.Signals(number).name, told=False)
        elif number == signal.SIGTERM:
            end_forked_child(owner, number)

    _listeners.append(listener)
    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        with dropped_in_forks(
            note, signal.SIGTERM
        ):  # a forked child that is told to end has nothing to finish
            yield listener
    finally:
        ends = False  # what comes now must not keep a handler from being put back: it is only noted
        _listeners.remove(listener)
        for number, handler in before.items():
            # None: it was set by C code, which Python cannot set again.
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
