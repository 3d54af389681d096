"""DataLoader workers that outlast the signal: Slurm sends it to every process of a job, not to the training loop alone.

A worker that died of it would fail the loop ("DataLoader worker is killed by signal") before it came to its checkpoint.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch.utils.data import DataLoader

from repro_hydra.checkpoint.preemption import SIGNALS


class Undisturbed:
    """A ``worker_init_fn`` that first makes the worker deaf to everybody's TERM but its parent's."""

    def __init__(self, then: Callable[[int], None] | None) -> None:
        self.then = then

    def __call__(self, worker: int) -> None:
        for number in SIGNALS:
            if number != signal.SIGTERM:
                signal.signal(number, signal.SIG_IGN)
        if sys.platform == "linux":  # elsewhere nobody tells who sent a signal
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # before the thread, which inherits it
            threading.Thread(target=_end_with, args=(os.getppid(),), name="repro-term", daemon=True).start()
        if self.then is not None:
            self.then(worker)


def _end_with(parent: int) -> None:
    """Wait for a TERM from `parent` (torch ends its workers by one), and pass over those of others."""
    while True:
        if signal.sigwaitinfo({signal.SIGTERM}).si_pid == parent:
            os._exit(0)


@contextmanager
def undisturbed(loader: DataLoader[Any]) -> Iterator[None]:
    """Workers that `loader` starts within it are `Undisturbed`; the user's ``worker_init_fn`` runs as ever."""
    before = loader.worker_init_fn
    if not loader.num_workers or isinstance(before, Undisturbed):
        yield
        return
    loader.worker_init_fn = Undisturbed(before)
    try:
        yield
    finally:
        loader.worker_init_fn = before
