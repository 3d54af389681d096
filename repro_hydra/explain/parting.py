"""Where two runs part, from their records alone: fingerprints, then logged metrics, results, files and the end."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import get_args

from repro_hydra.explain.document import Stage
from repro_hydra.record.fingerprint import FingerprintsCompared, FirstDifference
from repro_hydra.record.reproduction import Compared
from repro_hydra.record.schema import JSON
from repro_hydra.record.values import from_json_number, to_json
from repro_hydra.reproduce.fingerprints import compared_fingerprints
from repro_hydra.reproduce.original import Original
from repro_hydra.reproduce.outputs import compare_outputs
from repro_hydra.reproduce.results import Tolerance, differing_logged, equal_bits

_BITS = Tolerance(0.0, 0.0)
_ENDED = ("completed", "failed")
_PLURALS = {"gradients": "gradient", "losses": "loss", "batches": "batch", "weight": "weights"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """The first values that are recorded, and not equal."""

    step: JSON
    name: str
    detail: str
    largest: float | None
    """The largest absolute difference of those at that place; None where they are no numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parting:
    """All that differs between what two runs did."""

    prints: FingerprintsCompared
    unseeded: list[str] = field(default_factory=list)
    """Libraries whose generators differ from the beginning, since nobody seeded them: looked past in `prints`."""
    logged: Values | None
    """The first line of ``metrics.jsonl`` that differs."""
    result: Values | None
    files: list[str] = field(default_factory=list)
    ends: str | None = None
    """How the runs ended, where they did not end alike."""
    compared: Compared

    @property
    def equal(self) -> bool:
        return (
            self.prints.first is None
            and self.logged is None
            and self.result is None
            and not self.files
            and self.ends is None
        )

    @property
    def values(self) -> Values | None:
        """The earliest numbers that differ."""
        return self.logged or self.result

    @property
    def first(self) -> FirstDifference | None:
        """The first fingerprint that differs."""
        return self.prints.first

    @property
    def stage(self) -> Stage | None:
        """Of what differs first; a seed is no part of what a run did, and not looked at here."""
        if self.first is not None:
            return self.first.stage or _stage_called(self.first.tensor)
        return "metrics" if self.values is not None else None

    @property
    def only_initial(self) -> bool:
        """Whether already the weights before the first step differ, and no generator does."""
        return self.first is not None and "initial_weights" in self.first.differ and self.stage == "weights"

    def detail(self) -> str:
        if self.first is not None:
            before = "; the weights before the first step differ too"
            also = before if "initial_weights" in self.first.differ and not self.only_initial else ""
            return f"{self.first.detail}{also}"
        if self.values is not None:
            return self.values.detail
        return self.ends or (self.files[0] if self.files else "")


def parting_of(a: Original, b: Original, ignore: Sequence[str] = ()) -> Parting:
    """Hold against each other what two runs did.

    Parameters
    ----------
    ignore : sequence of str
        Patterns, as in a shell, of files and metrics to leave out.
    """
    unfinished = any(run.status not in _ENDED for run in (a.run, b.run))
    prints, unseeded = _looking_past_unseeded(a, b, unfinished=unfinished)
    logged = [[_kept(row, ignore) for row in original.logged] for original in (a, b)]
    shorter, longer = sorted(logged, key=len) if unfinished else logged
    logged_values, _ = differing_logged(shorter, longer, lambda _name: _BITS, unfinished=unfinished)
    outputs = compare_outputs(a, b, ignore, _BITS, unfinished=unfinished)
    one, other = _kept(a.result or {}, ignore), _kept(b.result or {}, ignore)
    return Parting(
        prints=prints,
        unseeded=unseeded,
        logged=next(_lines(*logged, unfinished=unfinished), None),
        result=None if unfinished else _values(one, other, None, "result"),
        files=outputs.details,
        ends=_ends(a, b),
        compared=Compared(
            metrics=len({*one, *other}),
            files=outputs.files,
            tensors=outputs.tensors,
            fingerprint_steps=prints.steps,
            logged_values=logged_values,
            errors=int(a.run.status == "failed"),
        ),
    )


def _kept(row: Mapping[str, JSON], ignore: Sequence[str]) -> dict[str, JSON]:
    """What of a line of metrics, or of a result, is compared."""
    left_out = ("time", *ignore) if "step" in row else ignore
    return {
        name: value
        for name, value in row.items()
        if name == "step" or not any(fnmatchcase(name, pattern) for pattern in left_out)
    }


def _looking_past_unseeded(
    a: Original, b: Original, *, unfinished: bool
) -> tuple[FingerprintsCompared, list[str]]:
    """A generator that nobody seeded differs in every two runs: what parts besides it is what is asked about."""
    prints = compared_fingerprints(a, b, unfinished=unfinished)
    unseeded: list[str] = []
    while (library := _unseeded_at_the_start(prints.first, a, b)) is not None:
        unseeded.append(library)
        prints = compared_fingerprints(a, b, unfinished=unfinished, but=unseeded)
    return prints, unseeded


def _unseeded_at_the_start(first: FirstDifference | None, a: Original, b: Original) -> str | None:
    if first is None or first.stage != "rng" or first.step != 0 or first.differ != ["rng"]:
        return None
    seeded = any(run.seeds.get(first.tensor or "") is not None for run in (a.run, b.run))
    return None if seeded else first.tensor


def _lines(
    a: Sequence[Mapping[str, JSON]], b: Sequence[Mapping[str, JSON]], *, unfinished: bool
) -> Iterator[Values]:
    """The lines of ``metrics.jsonl`` that differ."""
    length = min(len(a), len(b)) if unfinished else max(len(a), len(b))
    for number in range(length):
        one = a[number] if number < len(a) else {}
        other = b[number] if number < len(b) else {}
        step = one.get("step", other.get("step"))
        found = _values(one, other, step, f"step {step}")
        if found is not None:
            yield found


def _values(one: Mapping[str, JSON], other: Mapping[str, JSON], step: JSON, where: str) -> Values | None:
    """The first of several values that differs, with the largest difference among them."""
    first: str | None = None
    largest: float | None = None
    for name in dict.fromkeys([*one, *other]):
        if name in one and name in other and equal_bits(one[name], other[name]):
            continue
        first = name if first is None else first
        before, after = from_json_number(one.get(name)), from_json_number(other.get(name))
        if before is not None and after is not None and name != "step":
            difference = abs(before - after)
            if largest is None or math.isnan(difference) or difference > largest:
                largest = difference
    if first is None:
        return None
    told = f"{one.get(first, '(absent)')!s:.100} and {other.get(first, '(absent)')!s:.100}"
    return Values(step=step, name=first, detail=f"{where}: {first}: {told}", largest=largest)


def largest_of(values: Values | None) -> JSON:
    """As a record has it."""
    return None if values is None or values.largest is None else to_json(values.largest)


def _stage_called(name: str | None) -> Stage | None:
    """The stage that a program's own value is called by: ``repro_hydra.fingerprint("weights", w)``."""
    word = (name or "").lower()
    word = _PLURALS.get(word, word)
    return next((stage for stage in get_args(Stage) if stage == word), None)


def _ends(a: Original, b: Original) -> str | None:
    one, other = _end(a), _end(b)
    return None if one == other else f"the first {one}, the second {other}"


def _end(original: Original) -> str:
    run = original.run
    if run.status != "failed" or run.error is None:
        return run.status
    return f"failed ({run.error.type}: {run.error.message:.200})"
