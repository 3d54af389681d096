"""What a row tells besides, where asked for: trimmed mean, tolerance interval, a check for what is not normal.

Not in every row: the test for normality needs `scipy.stats`, half a second to import.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

TRIM = 0.2
"""Cut at each end: of five seeds the best and the worst. Wilcox, "Introduction to Robust Estimation and Hypothesis
Testing" (2012), section 3.3, takes it as a rule where nothing else is known."""
COVERAGE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Besides:
    """Of one configuration and metric; what is undefined is None, and `notes` says why."""

    trimmed_mean: float | None
    trimmed_share: float
    tolerance_low: float | None
    tolerance_high: float | None
    tolerance_coverage: float
    plainly_not_normal: bool | None
    normality_p_value: float | None
    notes: list[str]


def besides(values: Sequence[float], *, confidence: float, trim: float, known: Sequence[str] = ()) -> Besides:
    """Computed for the values of one row.

    Parameters
    ----------
    values : sequence of float, shape (n,)
        One a seed.
    confidence : float
        Of the tolerance interval. That of the check for normality is its own, 0.99: an alarm is meant to be plain.
    trim : float
        The share that the trimmed mean cuts at each end, from 0 to below 0.5.
    known : sequence of str
        The row's notes: a reason that stands there is not told again for each of these.

    Notes
    -----
    The sources are in the docstrings of `repro_hydra.stats.trimmed_mean`, `tolerance_interval` and `normality_check`.
    """
    from repro_hydra.stats.intervals import tolerance_interval
    from repro_hydra.stats.robust import normality_check, trimmed_mean

    middle = trimmed_mean(values, proportion=trim)
    most = tolerance_interval(values, coverage=COVERAGE, confidence=confidence)
    normality = normality_check(values)
    notes: list[str] = []
    for what, reasons in (
        ("trimmed mean", middle.notes),
        ("tolerance interval", most.notes),
        ("normality", normality.notes),
    ):
        notes += [f"{what}: {why.removeprefix('no interval: ')}" for why in reasons if why not in known]
    if normality.plainly_not_normal:
        notes.append(
            f"plainly not normal (Shapiro-Wilk, p = {normality.p_value:.2g}): the intervals of mean, spread and "
            "seeds to come assume that it is"
        )
    return Besides(
        trimmed_mean=middle.value,
        trimmed_share=trim,
        tolerance_low=most.low,
        tolerance_high=most.high,
        tolerance_coverage=COVERAGE,
        plainly_not_normal=normality.plainly_not_normal,
        normality_p_value=normality.p_value,
        notes=notes,
    )
