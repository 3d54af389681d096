"""What a run wrote down of its operators: a line for each call, and beside it the first values of what came out."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from repro_hydra.record.plain_file import open_plain
from repro_hydra.sites import Site

Phase = Literal["forward", "backward", "optimizer"]


class OperatorLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call of an operator."""

    step: int
    """Of the optimizer that is looked at: how many steps it had made."""
    op: str
    phase: Phase
    module: str | None = None
    """That whose forward it belongs to, by its name in the outermost one."""
    site: Site | None = None
    """The user's line; in a backward pass that of the forward operator, unless the user wrote the backward."""
    inputs: list[str]
    """A digest of each argument, of lists one by one,"""
    outputs: list[str]
    """and of each thing that it returned or wrote into."""
    view: bool = False
    """It gives its input in another shape, and makes nothing."""
    writes: bool = False
    """It writes into what it was given."""
    generator: str | None = None
    """Where it draws: a digest of the state that it drew from."""
    kept: list[tuple[int, int] | None] = []
    """Of each output, where its values lie in the other file, and how many are there."""


def lines_in(trace: Path) -> Iterator[OperatorLine]:
    """The lines that a run left at `trace`.

    Raises
    ------
    OSError
        There are none.
    msgspec.MsgspecError
        A line is damaged; not the last one, which a killed run leaves half.
    """
    decode = msgspec.json.Decoder(OperatorLine).decode
    with open_plain(trace) as stream:
        for line in stream:
            if line.endswith(b"\n"):
                yield decode(line)


def values_in(trace: Path, place: tuple[int, int]) -> array[float]:
    """Values that were kept beside `trace`."""
    offset, count = place
    values = array("d")
    with open_plain(beside(trace)) as stream:
        stream.seek(offset)
        values.frombytes(stream.read(count * values.itemsize))
    return values


def beside(trace: Path) -> Path:
    """The file of the values."""
    return trace.with_suffix(".values")
