"""One configuration in one row: what its seeds say together, and what they cannot say."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from repro_hydra.stats.intervals import identical_note
from repro_hydra.stats.sample import (
    check_fraction,
    mean_and_std,
    not_finite_note,
    quantile,
    t_quantile,
    to_floats,
)
from repro_hydra.stats.variation import (
    CoefficientOfVariation,
    corrected,
    variation_interval,
    why_undefined,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """The statistics of one metric over the seeds of one configuration.

    What is undefined is None, and `notes` says why. Nothing here is ever NaN or infinite.

    Attributes
    ----------
    n : int
        How many values were given, those that are not finite included.
    mean, std, standard_error : float or None
        `std` has the divisor n - 1; `standard_error` is std / sqrt(n).
    ci_low, ci_high : float or None
        Student's t-interval for the mean of all seeds, at `confidence`.
    confidence : float
        What the intervals aim at.
    median, q25, q75, min, max : float or None
        Order statistics; quartiles linear between neighbours.
    coefficient_of_variation, coefficient_of_variation_corrected : float or None
        std / |mean|, plain, and with the small-sample correction (1 + 1/(4n)).
    coefficient_of_variation_low, coefficient_of_variation_high : float or None
        Vangel's interval for it, at `confidence`.
    max_relative_deviation : float or None
        The largest |value - mean| / |mean|: how far the farthest seed lies.
    stability_threshold, tolerance : float
        As asked for.
    stable : bool or None
        Whether the plain coefficient of variation is at most `stability_threshold`.
    within_tolerance : bool or None
        Whether the plain coefficient of variation is at most `tolerance`. Low spread across seeds is
        stability: it does not say that a run can be reproduced.
    notes : tuple of str
        The reason for each None, and what to bear in mind.
    """

    n: int
    mean: float | None = None
    std: float | None = None
    standard_error: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    confidence: float
    median: float | None = None
    q25: float | None = None
    q75: float | None = None
    min: float | None = None
    max: float | None = None
    coefficient_of_variation: float | None = None
    coefficient_of_variation_corrected: float | None = None
    coefficient_of_variation_low: float | None = None
    coefficient_of_variation_high: float | None = None
    max_relative_deviation: float | None = None
    stability_threshold: float
    stable: bool | None = None
    tolerance: float
    within_tolerance: bool | None = None
    notes: tuple[str, ...] = ()


def summarize(
    values: Iterable[Any],
    *,
    confidence: float = 0.95,
    stability_threshold: float = 0.1,
    tolerance: float = 0.01,
) -> Summary:
    """The statistics of one metric over the seeds of one configuration.

    Parameters
    ----------
    values : iterable of numbers, shape (n,)
        One a seed, in any order. NaN and infinities are counted and named; none is left out, so with one among
        them nothing but n is defined.
    confidence : float
        Of the intervals, between 0 and 1.
    stability_threshold : float
        The largest coefficient of variation that is called stable.
    tolerance : float
        The largest coefficient of variation that is called within tolerance: the spread that is acceptable, as
        a fraction of the mean.

    Notes
    -----
    The intervals assume independent values from one normal distribution (`mean_interval`,
    `coefficient_of_variation_interval` give assumptions and references). All coefficients, `stable` and
    `within_tolerance` are undefined for a mean that is not told apart from zero (`coefficient_of_variation`).
    Identical values have a standard deviation of exactly 0 and intervals without width, and a note.

    Raises
    ------
    ValueError
        For a confidence outside (0, 1), a negative or non-finite threshold or tolerance.
    TypeError
        For what is no sample of numbers (`to_floats`).

    Examples
    --------
    >>> summary = summarize([0.91, 0.93, 0.92])
    >>> summary.n, round(summary.mean, 4), round(summary.std, 4), round(summary.ci_low, 4)
    (3, 0.92, 0.01, 0.8952)
    >>> summarize([0.91]).notes
    ('one value: no spread and no interval, since one seed tells nothing about spread',)
    """
    check_fraction(confidence)
    for name, limit in (("stability_threshold", stability_threshold), ("tolerance", tolerance)):
        if not (math.isfinite(limit) and limit >= 0.0):
            raise ValueError(f"{name}: expected a number of at least 0, found {limit!r}")
    ordered = sorted(to_floats(values))
    n = len(ordered)
    reason = not_finite_note(ordered) if n else "no values: nothing to summarize"
    if reason is not None:
        return Summary(
            n=n,
            confidence=confidence,
            stability_threshold=stability_threshold,
            tolerance=tolerance,
            notes=(reason,),
        )
    notes: list[str] = []
    mean, raw_std = mean_and_std(ordered)
    std = standard_error = ci_low = ci_high = None
    variation = CoefficientOfVariation(value=None, corrected=None, n=n)
    if n == 1:
        notes.append("one value: no spread and no interval, since one seed tells nothing about spread")
    elif not math.isfinite(raw_std):
        notes.append("no spread and no interval: the spread is too large for a double")
    else:
        std = raw_std
        standard_error = std / math.sqrt(n)
        if std == 0.0:
            notes.append(identical_note(n))
        half = t_quantile(n - 1, confidence) * standard_error
        if math.isfinite(mean - half) and math.isfinite(mean + half):
            ci_low, ci_high = mean - half, mean + half
        else:
            notes.append("no interval: its limits are too large for a double")
        variation = _variation(ordered, mean, std, notes)
    interval = variation_interval(variation, confidence=confidence)
    notes.extend(note for note in interval.notes if note not in notes)
    ratio = variation.value
    return Summary(
        n=n,
        mean=mean,
        std=std,
        standard_error=standard_error,
        ci_low=ci_low,
        ci_high=ci_high,
        confidence=confidence,
        median=quantile(ordered, 0.5),
        q25=quantile(ordered, 0.25),
        q75=quantile(ordered, 0.75),
        min=ordered[0],
        max=ordered[-1],
        coefficient_of_variation=ratio,
        coefficient_of_variation_corrected=variation.corrected,
        coefficient_of_variation_low=interval.low,
        coefficient_of_variation_high=interval.high,
        max_relative_deviation=None if ratio is None else _farthest(ordered, mean) / abs(mean),
        stability_threshold=stability_threshold,
        stable=None if ratio is None else ratio <= stability_threshold,
        tolerance=tolerance,
        within_tolerance=None if ratio is None else ratio <= tolerance,
        notes=tuple(notes),
    )


def _variation(ordered: list[float], mean: float, std: float, notes: list[str]) -> CoefficientOfVariation:
    n = len(ordered)
    reason = why_undefined(ordered, mean=mean, std=std)
    if reason is not None:
        notes.append(f"no coefficient of variation, so neither stable nor unstable: {reason}")
        return CoefficientOfVariation(value=None, corrected=None, n=n)
    ratio = std / abs(mean)
    return CoefficientOfVariation(value=ratio, corrected=corrected(ratio, n), n=n)


def _farthest(ordered: list[float], mean: float) -> float:
    return max(mean - ordered[0], ordered[-1] - mean)
