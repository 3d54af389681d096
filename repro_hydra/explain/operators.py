"""Two traces of one program's operators held against each other: the first by which they part."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from repro_hydra.fingerprint.operator_lines import OperatorLine, lines_in, values_in

_MOST_CANDIDATES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Parted:
    """The first operator that gives something else, or that only one of the runs called."""

    a: OperatorLine | None
    b: OperatorLine | None
    """None: that run called no more."""
    largest: float | None = None
    """The largest absolute difference of its output, of the values that were kept."""

    @property
    def line(self) -> OperatorLine:
        found = self.a or self.b
        assert found is not None
        return found

    @property
    def same_call(self) -> bool:
        """Whether both runs called the same operator there, so that values part and not the programs' ways."""
        return self.a is not None and self.b is not None and self.a.op == self.b.op

    @property
    def inputs_equal(self) -> bool:
        """Whether it got the same: then it is the operator itself that gives something else."""
        return self.same_call and _line_of(self.a).inputs == _line_of(self.b).inputs

    @property
    def drew(self) -> bool:
        """Whether it draws, and from a generator in another state."""
        return self.same_call and _line_of(self.a).generator != _line_of(self.b).generator


def _line_of(line: OperatorLine | None) -> OperatorLine:
    assert line is not None
    return line


class _Candidate:
    """An operator whose output differs, and what became of that."""

    __slots__ = ("a", "b", "lives", "used", "whole")

    def __init__(self, a: OperatorLine, b: OperatorLine) -> None:
        self.a, self.b = a, b
        self.whole = all(before != after for before, after in zip(a.outputs, b.outputs, strict=True))
        self.used = self.lives = False

    @property
    def counts(self) -> bool:
        """Whether it is one: not where only a part of several outputs differs, and nothing follows from that.

        An operator may return memory of which it wrote a part (the workspace of a recurrent layer): nobody reads the
        rest, and what uses it gives the same. What was written into others' memory may be read unseen.
        """
        return self.whole or self.lives or (self.a.writes and not self.used)


def first_parted(a: Path, b: Path) -> Parted | None:
    """Where the operators at `a` and `b` first part; None where they do not.

    That an operator *gets* something else while it gives the same is passed over: memory that it writes over, say.

    Raises
    ------
    OSError, msgspec.MsgspecError
        As `lines_in`.
    """
    candidates: list[_Candidate] = []
    by_pair: dict[tuple[str, str], list[_Candidate]] = {}
    other_way: Parted | None = None
    for one, other in zip_longest(lines_in(a), lines_in(b)):
        if one is None or other is None or one.op != other.op or len(one.outputs) != len(other.outputs):
            other_way = Parted(a=one, b=other)
            break
        if not candidates and one.outputs == other.outputs:
            continue
        behind = _behind(one, other, by_pair)
        for candidate in () if one.view else behind:
            candidate.used = True
            candidate.lives = candidate.lives or one.outputs != other.outputs
        if one.outputs == other.outputs or len(candidates) >= _MOST_CANDIDATES:
            continue
        if not one.view:  # in another shape it is the same difference
            candidates.append(_Candidate(one, other))
            behind = candidates[-1:]
        for before, after in zip(one.outputs, other.outputs, strict=True):
            if before != after:
                by_pair.setdefault((before, after), []).extend(behind)
    found = next((candidate for candidate in candidates if candidate.counts), None)
    if found is None:
        return other_way
    return Parted(a=found.a, b=found.b, largest=_largest(a, b, found.a, found.b))


def _behind(
    one: OperatorLine, other: OperatorLine, by_pair: dict[tuple[str, str], list[_Candidate]]
) -> list[_Candidate]:
    """Those of whose differences an operator gets some."""
    pairs = zip(one.inputs, other.inputs, strict=False)
    return [candidate for pair in pairs for candidate in by_pair.get(pair, ())]


def _largest(a: Path, b: Path, one: OperatorLine, other: OperatorLine) -> float | None:
    largest: float | None = None
    for number, (before, after) in enumerate(zip(one.outputs, other.outputs, strict=True)):
        places = one.kept[number], other.kept[number]
        if before == after or places[0] is None or places[1] is None or places[0][1] != places[1][1]:
            continue
        for x, y in zip(values_in(a, places[0]), values_in(b, places[1]), strict=True):
            if x == y or (math.isnan(x) and math.isnan(y)):
                continue
            difference = abs(x - y)
            if largest is None or math.isnan(difference) or difference > largest:
                largest = difference
    return largest
