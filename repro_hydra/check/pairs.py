"""Runs held against each other by bits: each pair, the first thing in which they part, and the spread."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from itertools import combinations

from repro_hydra.check.document import Divergence, Pair, Spread
from repro_hydra.check.outcome import PRINTED, Outcome, result_of
from repro_hydra.record.reproduction import Compared
from repro_hydra.record.values import from_json_number, to_json
from repro_hydra.reproduce.original import Original
from repro_hydra.reproduce.outputs import compare_outputs
from repro_hydra.reproduce.results import Tolerance, differing_logged, equal_bits, row_of

_BITS = Tolerance(0.0, 0.0)
_MOST_DIFFERENCES = 50


def compare_all(outcomes: Sequence[Outcome], ignore: Sequence[str]) -> list[Pair]:
    """Every pair of them."""
    return [
        compare_pair(outcomes[a], outcomes[b], a + 1, b + 1, ignore)
        for a, b in combinations(range(len(outcomes)), 2)
    ]


def compare_pair(one: Outcome, other: Outcome, a: int, b: int, ignore: Sequence[str]) -> Pair:
    """Two runs: each job of one with the same job of the other."""
    differences: list[str] = []
    total = Compared()
    if one.status != other.status:
        differences.append(f"status: {one.status} and {other.status}")
    for label in dict.fromkeys([*one.originals, *other.originals]):
        before, after = one.originals.get(label), other.originals.get(label)
        prefix = "" if label in (".", PRINTED) else f"{label}: "
        if before is None or after is None:
            differences.append(f"{label}: only run {a if before is not None else b} has it")
            continue
        compared, found = _compare_job(before, after, ignore)
        total = _add(total, compared)
        differences += [f"{prefix}{text}" for text in found]
    return Pair(a=a, b=b, equal=not differences, compared=total, differences=differences[:_MOST_DIFFERENCES])


def _compare_job(before: Original, after: Original, ignore: Sequence[str]) -> tuple[Compared, list[str]]:
    differences: list[str] = []
    if before.run.status != after.run.status or _error(before) != _error(after):
        differences.append(f"status: {_end(before)} and {_end(after)}")
    logged, rows = differing_logged(before.logged, after.logged, lambda _name: _BITS)
    differences += [f"{row.name}: {row.original} and {row.reproduced}" for row in rows]
    one, other = before.result or {}, after.result or {}
    names = list(dict.fromkeys([*one, *other]))
    for name in names:
        row = row_of(name, one.get(name), other.get(name), _BITS)
        if not row.equal_bits or (name in one) != (name in other):
            differences.append(f"{name}: {row.original} and {row.reproduced}")
    outputs = compare_outputs(before, after, ignore, _BITS, unfinished=False)
    differences += outputs.details
    compared = Compared(
        metrics=len(names),
        files=outputs.files,
        tensors=outputs.tensors,
        logged_values=logged,
        errors=int(before.run.status == "failed"),
    )
    return compared, differences


def first_divergence(
    outcomes: Sequence[Outcome], pairs: Sequence[Pair], ignore: Sequence[str]
) -> Divergence | None:
    """Of the first pair that differs, what differs first: a logged step before a result, that before a file."""
    pair = next((pair for pair in pairs if not pair.equal), None)
    if pair is None:
        return None
    one, other = outcomes[pair.a - 1], outcomes[pair.b - 1]
    for label, before in one.originals.items():
        after = other.originals.get(label)
        if after is None:
            continue
        found = next(_divergences(before, after, label, (pair.a, pair.b), ignore), None)
        if found is not None:
            return found
    return Divergence(
        runs=(pair.a, pair.b),
        where="status",
        name="",
        a=one.status,
        b=other.status,
        detail=pair.differences[0],
    )


def _divergences(
    before: Original, after: Original, label: str, runs: tuple[int, int], ignore: Sequence[str]
) -> Iterator[Divergence]:
    prefix = "" if label in (".", PRINTED, "files") else f"{label}: "
    for number in range(max(len(before.logged), len(after.logged))):
        one = before.logged[number] if number < len(before.logged) else {}
        other = after.logged[number] if number < len(after.logged) else {}
        for name in dict.fromkeys([*one, *other]):
            a, b = one.get(name), other.get(name)
            if name != "time" and not equal_bits(a, b):
                yield Divergence(
                    runs=runs,
                    where="metrics",
                    name=f"{prefix}{name}",
                    step=one.get("step", other.get("step")),
                    a=a,
                    b=b,
                    detail=f"line {number + 1} of metrics.jsonl",
                )
    first, second = before.result or {}, after.result or {}
    for name in dict.fromkeys([*first, *second]):
        if not equal_bits(first.get(name), second.get(name)):
            yield Divergence(
                runs=runs, where="result", name=f"{prefix}{name}", a=first.get(name), b=second.get(name)
            )
    where = "output" if label == PRINTED else "files"
    for detail in compare_outputs(before, after, ignore, _BITS, unfinished=False).details:
        name, _, text = detail.partition(": ")
        yield Divergence(runs=runs, where=where, name=f"{prefix}{name}", detail=text)


def spread(outcomes: Sequence[Outcome]) -> list[Spread]:
    """Each final metric over the runs."""
    results = [result_of(outcome) for outcome in outcomes]
    found = []
    for name in dict.fromkeys(name for result in results for name in result):
        values = [result[name] for result in results if name in result]
        numbers = [number for value in values if (number := from_json_number(value)) is not None]
        distinct = [
            value
            for index, value in enumerate(values)
            if not any(equal_bits(value, v) for v in values[:index])
        ]
        finite = numbers if all(math.isfinite(number) for number in numbers) else []
        found.append(
            Spread(
                metric=name,
                n=len(values),
                distinct=len(distinct),
                min=to_json(min(numbers)) if numbers else None,
                max=to_json(max(numbers)) if numbers else None,
                std=to_json(statistics.stdev(finite)) if len(finite) > 1 else None,
            )
        )
    return found


def _add(one: Compared, other: Compared) -> Compared:
    return Compared(
        metrics=one.metrics + other.metrics,
        files=one.files + other.files,
        tensors=one.tensors + other.tensors,
        logged_values=one.logged_values + other.logged_values,
        errors=one.errors + other.errors,
    )


def _error(original: Original) -> tuple[str, str] | None:
    error = original.run.error
    return None if error is None else (error.type, error.message)


def _end(original: Original) -> str:
    error = _error(original)
    return original.run.status if error is None else f"{original.run.status} ({error[0]}: {error[1]:.200})"
