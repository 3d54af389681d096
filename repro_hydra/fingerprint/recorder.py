"""The fingerprints of one process of a run: what is watched, and the file that it goes to."""

from __future__ import annotations

import operator
import os
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from repro_hydra.fingerprint.digest import START, mixed_value, shown
from repro_hydra.fingerprint.log import FingerprintLog, FingerprintsSoFar
from repro_hydra.fingerprint.steps import Taken, TorchSteps
from repro_hydra.record.schema import JSON

if TYPE_CHECKING:
    from repro_hydra.fingerprint.operators import OperatorTrace

_KEPT_ON_DEVICE = 16
"""Steps whose numbers stay on their device before anybody waits for them."""


_active: list[Fingerprints] = []


def fingerprint(name: str, array: Any, step: int | None = None) -> str:
    """Add the digest of a value to the fingerprints of the run that this process is in.

    For what no hook on torch sees: the weights of a NumPy or JAX model, the states of an environment. Where the run
    takes no fingerprints, and outside of a run, only the digest comes back.

    Parameters
    ----------
    name : str
        What the record calls it.
    array : array, tensor, number or text, or a list or mapping of these
        Of any shape, on any device. Read whole.
    step : int, optional
        Counted for each name from 0 where left out.

    Returns
    -------
    str
        16 hexadecimal digits: XXH3 of the bytes, the type and the shape. Not made to withstand forgery.

    Raises
    ------
    TypeError
        `array` is nothing that has a digest.

    Examples
    --------
    >>> import numpy as np
    >>> fingerprint("weights", np.zeros(3)) == fingerprint("weights", np.zeros(3))
    True
    """
    running = _active[-1] if _active else None
    if running is None or not running.is_own_process():
        return shown(mixed_value(START, array, where=name))
    return running.named(name, array, step)


class Fingerprints:
    """Takes fingerprints while a job runs.

    Parameters
    ----------
    path : Path
        ``fingerprints.jsonl``; appended to.
    failed : callable
        Told of an error of ours, once.
    before_write : callable, optional
        Called before lines are written: it does not return where this process may write no more.
    whole : bool
        Every tensor in full and by its name (``full``), in the place of a bounded part of them (``steps``).
    every : int
        Only each so-manieth step.
    """

    def __init__(
        self,
        path: Path,
        failed: Callable[[Exception], None],
        before_write: Callable[[], None] = lambda: None,
        *,
        whole: bool = False,
        every: int = 1,
        trace: OperatorTrace | None = None,
    ) -> None:
        self._failed = failed
        self._broken = False
        self._pid = os.getpid()
        self._log = FingerprintLog(path, before_write)
        self._named: dict[str, int] = {}
        self._paused = False
        self._waiting: list[Taken] = []
        self._lock = threading.RLock()
        self._trace = trace
        stepped = {} if trace is None else {"stepped": trace.stepped}
        self._steps = TorchSteps(self._take, self._break, whole=whole, every=every, **stepped)

    def install(self, when_imported: Callable[[str, Callable[[], None]], None]) -> None:
        """Put the hooks in, as soon as torch is there."""
        _active.append(self)
        when_imported("torch", self._steps.install)
        if self._trace is not None:
            when_imported("torch", self._trace.install)
        when_imported("torch.utils.data.dataloader", self._steps.watch_loaders)

    def pause(self) -> None:
        """Take none until `go_on`: what runs meanwhile has run before, and its lines stand in the file."""
        self._paused = True
        self._steps.pause()

    def go_on(self, so_far: FingerprintsSoFar) -> None:
        """Go on where an earlier attempt's checkpoint left off; the file ends there."""
        self._paused = False
        self._named = dict(so_far.named)
        self._steps.go_on(so_far)

    def named(self, name: str, value: Any, step: int | None = None) -> str:
        """Take the fingerprint of a value that the program hands in.

        Raises
        ------
        NoDigest
            It is none that has a digest.
        """
        digest = shown(mixed_value(START, value, where=name))
        if self._paused or self._broken:
            return digest
        number = self._named.get(name, 0) if step is None else operator.index(step)
        self._named[name] = number + 1
        try:
            with self._lock:  # the program may call this from any of its threads
                self._settle()
                self._log.add({"step": number, "name": name, "digest": digest})
        except Exception as error:  # noqa: BLE001 (whatever of ours fails must not cost the user's training)
            self._break(error)
        return digest

    def so_far(self) -> FingerprintsSoFar:
        """How far they were taken until now; what is not on the disk is written."""
        with self._lock:
            self._settle()
            size = self._log.flush(durable=True)
        return msgspec.structs.replace(self._steps.so_far(), size_bytes=size, named=dict(self._named))

    def close(self) -> None:
        """Take the hooks out, and write what is left.

        Raises
        ------
        OSError
        """
        _active.remove(self)
        self._steps.stop()
        if self._trace is not None:
            self._trace.stop()
        try:
            if not self._broken:
                self._settle()
        finally:
            self._log.close()

    def is_own_process(self) -> bool:
        """Whether this is the process that they are taken of, and not one forked from it."""
        return os.getpid() == self._pid

    def _break(self, error: Exception) -> None:
        self._broken = True
        self._waiting.clear()
        self._steps.stop()
        self._failed(error)

    def _take(self, taken: Taken) -> None:
        with self._lock:
            self._waiting.append(taken)
            if not taken.digests.numbers or len(self._waiting) >= _KEPT_ON_DEVICE:
                self._settle()

    def _settle(self) -> None:
        """Wait for what devices have to tell, and hand the lines on."""
        for taken, numbers in zip(self._waiting, _numbers(self._waiting), strict=True):
            for (place, _), number in zip(taken.digests.numbers, numbers, strict=True):
                taken.digests.add(place, struct.pack("<q", number))
            self._log.add(_line(taken))
        self._waiting.clear()


def _numbers(waiting: list[Taken]) -> list[list[int]]:
    """Of each, its numbers on devices: fetched from each device at once."""
    found = [[number for _, number in taken.digests.numbers] for taken in waiting]
    by_device: dict[Any, list[tuple[int, int]]] = {}
    for row, numbers in enumerate(found):
        for column, number in enumerate(numbers):
            if not isinstance(number, int):
                by_device.setdefault(number.device, []).append((row, column))
    for places in by_device.values():
        fetched = sys.modules["torch"].stack([found[row][column] for row, column in places]).tolist()
        for (row, column), value in zip(places, fetched, strict=True):
            found[row][column] = value
    return found


def _line(taken: Taken) -> dict[str, JSON]:
    line = taken.line
    tensors: dict[str, Any] = {}
    for place, digest in taken.digests.by_place.items():
        if len(place) == 1:
            line[place[0]] = shown(digest)
        else:
            _, kind, name = place
            tensors.setdefault(kind, {})[name] = shown(digest)
    for kind, of_kind in tensors.items():  # of all tensors of a kind, beside what the kind has of its own
        line[kind] = shown(mixed_value(START, [line.get(kind), of_kind]))
    if tensors:
        line["tensors"] = tensors
    return line
