"""The fingerprints of one process of a run: what is watched, and the file that it goes to."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from repro_hydra.fingerprint.digest import START, mixed, mixed_value, shown
from repro_hydra.fingerprint.log import FingerprintLog, FingerprintsSoFar
from repro_hydra.fingerprint.steps import Taken, TorchSteps
from repro_hydra.record.schema import JSON

_KEPT_ON_DEVICE = 16
"""Steps whose numbers stay on their device before anybody waits for them."""


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
    so_far : FingerprintsSoFar, optional
        Where an earlier attempt's checkpoint left the file, which ends there.
    """

    def __init__(
        self,
        path: Path,
        failed: Callable[[Exception], None],
        before_write: Callable[[], None] = lambda: None,
        *,
        whole: bool = False,
        every: int = 1,
        so_far: FingerprintsSoFar | None = None,
    ) -> None:
        so_far = so_far or FingerprintsSoFar()
        self._log = FingerprintLog(path, before_write)
        self._named = dict(so_far.named)
        self._waiting: list[Taken] = []
        self._steps = TorchSteps(self._take, failed, whole=whole, every=every, so_far=so_far)

    def install(self, when_imported: Callable[[str, Callable[[], None]], None]) -> None:
        """Put the hooks in, as soon as torch is there."""
        when_imported("torch", self._steps.install)
        when_imported("torch.utils.data.dataloader", self._steps.watch_loaders)
        when_imported("torch._dynamo.eval_frame", self._steps.when_compiler_comes)

    def named(self, name: str, value: Any, step: int | None = None) -> str:
        """Take the fingerprint of a value that the program hands in.

        Raises
        ------
        NoDigest
            It is none that has a digest.
        """
        number = self._named.get(name, 0) if step is None else step
        digest = shown(mixed_value(START, value, where=name))
        self._named[name] = number + 1
        self._settle()
        self._log.add({"step": number, "name": name, "digest": digest})
        return digest

    def so_far(self) -> FingerprintsSoFar:
        """How far they were taken until now; what is not on the disk is written."""
        self._settle()
        return msgspec.structs.replace(
            self._steps.so_far(), size_bytes=self._log.flush(), named=dict(self._named)
        )

    def close(self) -> None:
        """Take the hooks out, and write what is left."""
        self._steps.stop()
        self._settle()
        self._log.close()

    def _take(self, taken: Taken) -> None:
        self._waiting.append(taken)
        if not taken.on_device or len(self._waiting) >= _KEPT_ON_DEVICE:
            self._settle()

    def _settle(self) -> None:
        """Wait for what devices have to tell, and hand the lines on."""
        for taken, numbers in zip(self._waiting, _numbers(self._waiting), strict=True):
            for (place, _), number in zip(taken.on_device, numbers, strict=True):
                taken.digests[place] = mixed(taken.digests.get(place, START), struct.pack("<q", number))
            self._log.add(_line(taken))
        self._waiting.clear()


def _numbers(waiting: list[Taken]) -> list[list[int]]:
    """Of each, its numbers on devices: fetched from each device at once."""
    import sys

    found: list[list[int]] = [[0] * len(taken.on_device) for taken in waiting]
    by_device: dict[Any, list[tuple[int, int, Any]]] = {}
    for row, taken in enumerate(waiting):
        for column, (_, number) in enumerate(taken.on_device):
            by_device.setdefault(number.device, []).append((row, column, number))
    for numbers in by_device.values():
        fetched = sys.modules["torch"].stack([number for _, _, number in numbers]).tolist()
        for (row, column, _), value in zip(numbers, fetched, strict=True):
            found[row][column] = value
    return found


def _line(taken: Taken) -> dict[str, JSON]:
    line, tensors = taken.line, {}
    for place, digest in taken.digests.items():
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
