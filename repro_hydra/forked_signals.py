"""Signal handlers that a forked child does not keep.

Python runs a handler when it comes back to its interpreter. A signal that arrives while a child is about to wait in C
(a worker of a pool, for the lock of its queue) is noted and never handled, and whoever told the child to end waits
for ever: `multiprocessing.Pool` ends its workers by SIGTERM and then joins them. By the default action the kernel
ends the child at once. So the default is put back right after the fork, with the signals blocked until then.

Python ignores what is raised while it runs the hooks of a fork. A handler that raises asks `put_off` first, so that a
signal which comes at that moment is not lost in the parent.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from repro_hydra.sites import callers

Handler = Callable[[int, "FrameType | None"], None]
_SOON_S = 0.02


class _Forks:
    def __init__(self) -> None:
        self._ours: list[tuple[int, Handler]] = []
        self._before = threading.local()
        self._registered = False

    @contextmanager
    def drop(self, handler: Handler, numbers: tuple[int, ...]) -> Iterator[None]:
        if not self._registered and hasattr(os, "register_at_fork"):
            self._registered = True  # for good: it cannot be taken back
            os.register_at_fork(
                before=self._hold, after_in_parent=self._release, after_in_child=self._in_child
            )
        added = [(number, handler) for number in numbers]
        self._ours += added
        try:
            yield
        finally:
            self._ours = [item for item in self._ours if item not in added]

    def _hold(self) -> None:
        # In two steps: a handler of the user's that raises here must leave nothing blocked for good.
        self._before.mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        signal.pthread_sigmask(signal.SIG_BLOCK, {number for number, _ in self._ours})

    def _release(self) -> None:
        mask = getattr(self._before, "mask", None)
        self._before.mask = None
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _in_child(self) -> None:
        for number, handler in self._ours:
            if signal.getsignal(number) is handler:
                signal.signal(number, signal.SIG_DFL)
        self._ours = []
        self._release()


_FORKS = _Forks()
_HOOKS = tuple(hook.__code__ for hook in (_Forks._hold, _Forks._release, _Forks._in_child))


@contextmanager
def dropped_in_forks(handler: Handler, *numbers: int) -> Iterator[None]:
    """While it lasts, a child that is forked has the default action where this process has `handler`."""
    with _FORKS.drop(handler, numbers):
        yield


def put_off(number: int, frame: FrameType | None) -> bool:
    """Whether a handler was called from within a fork, where what it raises would be lost: the signal comes again."""
    if all(caller.f_code not in _HOOKS for caller in callers(frame)):
        return False
    again = threading.Timer(_SOON_S, os.kill, (os.getpid(), number))
    again.daemon = True
    again.start()
    return True


def end_forked_child(owner: int, number: int) -> None:
    """Let a child end by the signal that kept its parent's handler: by the user's own, which calls it, or a bare fork.

    Parameters
    ----------
    owner : int
        The process whose handler it is.
    """
    if os.getpid() != owner:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
