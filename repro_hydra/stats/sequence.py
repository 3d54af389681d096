"""An interval that may be looked at after every seed: the anytime-valid t-sequence."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from repro_hydra.stats.intervals import Interval
from repro_hydra.stats.sample import check_fraction, check_positive, mean_and_std, not_finite_note, to_floats

METHOD = "anytime-valid t-sequence"


def t_sequence(values: Iterable[Any], *, confidence: float = 0.95, effect: float = 1.0) -> Interval:
    """An interval for the mean that stays valid however often it is looked at, and whenever one stops.

    Parameters
    ----------
    values : iterable of numbers, shape (n,)
        Those so far, in the order in which they came; n >= 2.
    confidence : float
        The probability that the interval holds the mean at *every* n together, between 0 and 1.
    effect : float
        The size of mean / standard deviation at which the sequence is to be narrowest (the standard deviation
        of a normal mixture over it). Fixed before the first value; any choice is valid.

    Notes
    -----
    Inverts a test martingale: the Bayes factor of a normal mixture N(0, effect²) over the standardized mean
    against zero, with the right Haar prior on the scale, which under the null hypothesis depends on the sample
    through its t-statistic only; by Ville's inequality it exceeds 1 / (1 - confidence) with at most that
    probability, ever. With g = effect²·n and q = (sqrt(1 + g) / (1 - confidence))^(2/n) the half-width is
    s · sqrt((n - 1) / n · (q - 1) / (1 - q / (1 + g))); infinite where q >= 1 + g, which is so for the first few
    values. Lai, "On Confidence Sequences", Annals of Statistics 4 (1976) 265-280; Wang & Ramdas, "Anytime-valid
    t-tests and confidence sequences for Gaussian means with unknown variance", Sequential Analysis 44 (2025),
    arXiv 2310.03722. Assumes independent values from one normal distribution.

    Raises
    ------
    ValueError, TypeError
        For a confidence outside (0, 1), an effect that is not positive, what is no sample (`to_floats`).
    """
    check_fraction(confidence)
    check_positive(effect, name="effect")
    sample = to_floats(values)
    n = len(sample)

    def none(reason: str) -> Interval:
        return Interval(low=None, high=None, confidence=confidence, method=METHOD, n=n, notes=(reason,))

    if n < 2:
        return none(f"no interval: {n} of the 2 values that it takes at least")
    reason = not_finite_note(sample)
    if reason is not None:
        return none(reason)
    factor = t_sequence_factor(n, confidence=confidence, effect=effect)
    if not math.isfinite(factor):
        return none(f"no interval yet: {n} values are too few for one that may be looked at again")
    mean, std = mean_and_std(sample)
    if std == 0.0:
        return none(f"no interval: all {n} values are identical, and one without width would claim certainty")
    low, high = mean - factor * std, mean + factor * std
    return Interval(low=low, high=high, confidence=confidence, method=METHOD, n=n)


def t_sequence_factor(n: int, *, confidence: float = 0.95, effect: float = 1.0) -> float:
    """Half-width of `t_sequence` in standard deviations; infinite where n is too small.

    Parameters
    ----------
    n : int
        At least 2.
    confidence, effect : float
        As in `t_sequence`.
    """
    if n < 2:
        return math.inf
    g = effect * effect * n
    q = math.exp(2.0 / n * (0.5 * math.log1p(g) - math.log1p(-confidence)))
    room = 1.0 - q / (1.0 + g)
    return math.sqrt((n - 1) / n * (q - 1.0) / room) if room > 0.0 else math.inf
