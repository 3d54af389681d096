"""``fingerprints.jsonl``: one line for each step that is fingerprinted, and for each value handed in.

{"step": 0, "optimizer_index": 0, "batch": "…", "loss": "…", "gradients": "…", "optimizer": "…", "weights": "…",
 "rng": {"numpy": "…", "torch": "…"}, "initial_weights": "…"}
{"step": 0, "name": "q_values", "digest": "…"}
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from repro_hydra.record.schema import JSON
from repro_hydra.record.store import take_back

_UNTHINNED_BITS = 12
_LINES_KEPT_BACK = 64


class FingerprintsSoFar(msgspec.Struct, frozen=True, kw_only=True):
    """How far the fingerprints were taken at some moment: what a checkpoint remembers."""

    size_bytes: int = 0
    steps: list[int] = []
    """Of each optimizer, in the order in which they are made, how many it had made."""
    taken: list[int] = []
    """Of each, how many were fingerprinted."""
    named: dict[str, int] = {}
    """How often a value of each name was handed in."""
    pending: dict[str, int] = {}
    """The digests of batch and loss since the last step,"""
    numbers: list[tuple[str, int]] = []
    """what devices had to tell of them,"""
    from_loader: bool = False
    """and whether the batch was a loader's."""


def is_taken(step: int, every: int = 1) -> bool:
    """Whether a step is fingerprinted: each below 4,096, then each second, from 8,192 on each fourth, and so on.

    A training of a million steps has 20,000 lines, and two runs of one program have the same.
    """
    return step % (stride_at(step) * every) == 0


def stride_at(step: int) -> int:
    """How far apart the steps around `step` are that are fingerprinted."""
    return 1 << max(0, step.bit_length() - _UNTHINNED_BITS)


class FingerprintLog:
    """Appends lines to the file, some at a time.

    Parameters
    ----------
    before_write : callable, optional
        Called before lines are written: it does not return where this process may write no more.
    """

    def __init__(self, path: Path, before_write: Callable[[], None] = lambda: None) -> None:
        self._path = path
        self._before_write = before_write
        self._lines: list[bytes] = []
        self._handle: int | None = None

    def add(self, line: dict[str, JSON]) -> None:
        self._lines.append(msgspec.json.encode(line) + b"\n")
        if len(self._lines) >= _LINES_KEPT_BACK:
            self.flush()

    def flush(self, *, durable: bool = False) -> int:
        """Write what was kept back; the file's size in bytes.

        Parameters
        ----------
        durable : bool
            Wait until the disk has it: a checkpoint that is on the disk counts on it.
        """
        if self._handle is None:
            self._handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        if self._lines:
            self._before_write()
            data = b"".join(self._lines)
            self._lines.clear()
            written = os.write(self._handle, data)
            if written != len(data):
                take_back(self._handle, written, self._path)
        if durable:
            os.fsync(self._handle)
        return os.fstat(self._handle).st_size

    def close(self) -> None:
        """Write what is left, and let the file go."""
        try:
            if self._lines:
                self.flush()
        finally:
            self._lines.clear()
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None
