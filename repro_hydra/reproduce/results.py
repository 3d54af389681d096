"""Results held against each other: by bits, and within a tolerance."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from repro_hydra.record.reproduction import MetricRow, ResultsValidation
from repro_hydra.record.schema import JSON
from repro_hydra.record.values import flatten_result, from_json_number, to_json

DEFAULT_RTOL = 1e-5
DEFAULT_ATOL = 1e-8
"""As `numpy.allclose`: ``|a - b| <= atol + rtol * |a|``."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a reproduced number may lie from the original one."""

    rtol: float = DEFAULT_RTOL
    atol: float = DEFAULT_ATOL

    def allows(self, original: float, reproduced: float) -> bool:
        """Whether `reproduced` is near enough; NaN is near NaN, an infinity near itself."""
        if math.isnan(original) or math.isnan(reproduced):
            return math.isnan(original) and math.isnan(reproduced)
        if math.isinf(original) or math.isinf(reproduced):
            return original == reproduced
        return abs(original - reproduced) <= self.atol + self.rtol * abs(original)


def validate_results(
    expected: Mapping[str, Any],
    actual: Mapping[str, Any],
    rtol: float = DEFAULT_RTOL,
    atol: float = DEFAULT_ATOL,
) -> ResultsValidation:
    """Hold results against what they are expected to be, metric by metric.

    Parameters
    ----------
    expected, actual : mapping
        Name to number; nested mappings join their keys by dots, as in ``result.json``.
    rtol, atol : float
        A metric is within tolerance where ``|expected - actual| <= atol + rtol * |expected|``.

    Returns
    -------
    ResultsValidation
        For each metric the errors, whether the bits are equal and whether it is within; what is missing on either
        side.

    Raises
    ------
    ValueError
        For a tolerance that is negative or no number, and for what is no number, mapping or sequence of numbers: it
        would not be compared.

    Examples
    --------
    >>> validate_results({"loss": 0.5, "accuracy": 0.9}, {"loss": 0.5}).missing
    ['accuracy']
    """
    for name, value in (("rtol", rtol), ("atol", atol)):
        if not value >= 0:
            raise ValueError(f"{name}: expected a number from 0 up, found {value!r}")
    one, not_taken = flatten_result(expected)
    other, not_given = flatten_result(actual)
    if not_taken or not_given:
        raise ValueError(f"validate_results: {'; '.join(dict.fromkeys([*not_taken, *not_given]))}")
    tolerance = Tolerance(rtol, atol)
    rows = [row_of(name, one[name], other[name], tolerance) for name in one if name in other]
    missing = [name for name in one if name not in other]
    unexpected = [name for name in other if name not in one]
    ok = not missing and not unexpected and all(row.within for row in rows)
    return ResultsValidation(
        ok=ok, rtol=rtol, atol=atol, metrics=rows, missing=missing, unexpected=unexpected
    )


def row_of(name: str, original: JSON, reproduced: JSON, tolerance: Tolerance) -> MetricRow:
    """One metric on both sides. What is no number is equal or not."""
    a, b = from_json_number(original), from_json_number(reproduced)
    if a is None or b is None:
        equal = type(original) is type(reproduced) and original == reproduced
        return MetricRow(name=name, original=original, reproduced=reproduced, equal_bits=equal, within=equal)
    return MetricRow(
        name=name,
        original=original,
        reproduced=reproduced,
        abs_error=to_json(_abs_error(a, b)),
        rel_error=to_json(_rel_error(a, b)),
        equal_bits=equal_bits(original, reproduced),
        within=tolerance.allows(a, b),
    )


def equal_bits(original: JSON, reproduced: JSON) -> bool:
    """Whether two recorded numbers are the same number: 1 and 1.0 are, 0.0 and -0.0 are not, NaN is NaN."""
    a, b = from_json_number(original), from_json_number(reproduced)
    if a is None or b is None:
        return type(original) is type(reproduced) and original == reproduced
    if isinstance(original, int) and isinstance(reproduced, int):
        return original == reproduced  # as floats two large ones could meet
    if math.isnan(a) and math.isnan(b):
        return True
    return struct.pack(">d", a) == struct.pack(">d", b)


def _abs_error(a: float, b: float) -> float:
    if math.isnan(a) and math.isnan(b):
        return 0.0
    return 0.0 if a == b else abs(a - b)


def _rel_error(a: float, b: float) -> float:
    error = _abs_error(a, b)
    if error == 0.0:
        return 0.0
    return error / abs(a) if a != 0 else math.inf


def differing_logged(
    original: Sequence[Mapping[str, JSON]],
    reproduced: Sequence[Mapping[str, JSON]],
    tolerance_of: Callable[[str], Tolerance],
    *,
    unfinished: bool = False,
) -> tuple[int, list[MetricRow]]:
    """The logged series held against each other, line by line.

    Parameters
    ----------
    tolerance_of : callable
        That of a metric.
    unfinished : bool
        The original was cut off: what the reproduction logged after it is no difference.

    Returns
    -------
    compared : int
        How many values there were to compare.
    rows : list of MetricRow
        Of each metric the first value that differs, called ``name (step 3)``.
    """
    rows: dict[str, MetricRow] = {}
    compared = 0
    length = len(original) if unfinished else max(len(original), len(reproduced))
    for index in range(length):
        before = original[index] if index < len(original) else {}
        after = reproduced[index] if index < len(reproduced) else {}
        step = before.get("step", after.get("step"))
        for name in dict.fromkeys([*before, *after]):
            if name == "time":
                continue
            compared += name != "step"
            row = row_of(f"{name} (step {step})", before.get(name), after.get(name), tolerance_of(name))
            if not row.equal_bits and (name not in rows or (rows[name].within and not row.within)):
                rows[name] = row
    return compared, list(rows.values())
