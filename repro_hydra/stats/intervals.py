"""Intervals for one configuration: for its mean, for one more value, for most of all values to come."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from repro_hydra.stats.sample import check_fraction, mean_and_std, not_finite_note, t_quantile, to_floats

SMALLEST_N_FOR_PREDICTION = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """An interval, or the reason why there is none.

    Attributes
    ----------
    low, high : float or None
        The limits, in the unit of what they limit; both None where the interval is undefined.
    confidence : float
        The probability that the method aims at.
    method : str
        The method, in words.
    n : int
        How many values it stands on.
    notes : tuple of str
        Why it is undefined, or what to bear in mind.
    """

    low: float | None
    high: float | None
    confidence: float
    method: str
    n: int
    notes: tuple[str, ...] = ()

    @property
    def defined(self) -> bool:
        """Whether there is an interval."""
        return self.low is not None and self.high is not None


def mean_interval(values: Iterable[Any], *, confidence: float = 0.95) -> Interval:
    """Student's t-interval for the mean of all seeds, of which these are a sample.

    Parameters
    ----------
    values : iterable of numbers, shape (n,)
        One a seed. n = 1 has no interval.
    confidence : float
        Between 0 and 1.

    Notes
    -----
    Assumes independent values from one normal distribution; then its coverage is exact at every n >= 2. For
    lognormal values at n = 5 a 95 % interval covers 83 %. Student, "The Probable Error of a Mean", Biometrika 6
    (1908) 1-25.

    Raises
    ------
    ValueError, TypeError
        For a confidence outside (0, 1), and for what is no sample (`to_floats`).
    """
    return _mean_plus_minus(values, confidence, method="Student t", smallest_n=2, one_more=False)


def prediction_interval(values: Iterable[Any], *, confidence: float = 0.95) -> Interval:
    """The range in which the value of one more seed is expected: mean ± t · std · sqrt(1 + 1/n).

    Parameters
    ----------
    values : iterable of numbers, shape (n,)
        One a seed. Fewer than 5 are refused: the interval would be so wide that everything lies in it.
    confidence : float
        Between 0 and 1.

    Notes
    -----
    Assumes independent values from one normal distribution, and one more from the same; more values do not heal
    a violation, as they do for the mean. Whitmore, "Prediction Limits for a Univariate Normal Observation",
    The American Statistician 40 (1986) 141-143.

    Raises
    ------
    ValueError, TypeError
        As `mean_interval`.
    """
    return _mean_plus_minus(
        values, confidence, method="prediction, normal", smallest_n=SMALLEST_N_FOR_PREDICTION, one_more=True
    )


def tolerance_interval(
    values: Iterable[Any], *, coverage: float = 0.95, confidence: float = 0.95
) -> Interval:
    """The range that holds at least the share `coverage` of all seeds, with the given confidence.

    Parameters
    ----------
    values : iterable of numbers, shape (n,)
        One a seed, n >= 2.
    coverage : float
        The share of all values to come, between 0 and 1.
    confidence : float
        Between 0 and 1.

    Notes
    -----
    mean ± k · std with the exact factor of `tolerance_factor`. Assumes independent values from one normal
    distribution, in its tails too.

    Raises
    ------
    ValueError, TypeError
        As `mean_interval`, and for a coverage outside (0, 1).
    """
    check_fraction(coverage, name="coverage")
    check_fraction(confidence)
    sample = to_floats(values)
    method = f"tolerance, normal, for {coverage:g} of all values"
    refusal = _refusal(sample, smallest_n=2)
    if refusal is not None:
        return _undefined(sample, confidence, method, refusal)
    mean, std = mean_and_std(sample)
    half = tolerance_factor(len(sample), coverage=coverage, confidence=confidence) * std
    return _around(mean, half, sample, confidence, method)


@lru_cache(maxsize=256)  # a few milliseconds of quadrature, asked again for each row of a table
def tolerance_factor(n: int, *, coverage: float = 0.95, confidence: float = 0.95) -> float:
    """The factor k of the two-sided normal tolerance interval mean ± k · std.

    Parameters
    ----------
    n : int
        Number of values, at least 2.
    coverage, confidence : float
        Between 0 and 1.

    Notes
    -----
    Exact, by quadrature: k solves E[P(chi2(n-1) > (n-1) r(Z)² / k²)] = confidence, where Z is the error of the
    mean (normal, variance 1/n) and r(z) the half-width that holds `coverage` of a standard normal around z.
    Krishnamoorthy & Mathew, "Statistical Tolerance Regions" (2009), eq. 2.3.4; tabulated in ISO 16269-6.

    Raises
    ------
    ValueError
        For n < 2 and fractions outside (0, 1).
    """
    import numpy as np
    from scipy.optimize import brentq
    from scipy.special import chdtrc, chndtrix

    check_fraction(coverage, name="coverage")
    check_fraction(confidence)
    if n < 2:
        raise ValueError(f"n: expected at least 2, found {n}")
    # Z is symmetric, so half of it is integrated; beyond 9 standard deviations its mass is below 1e-18.
    nodes, weights = np.polynomial.legendre.leggauss(200)
    z = 4.5 * (nodes + 1.0)
    mass = 9.0 * weights * np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    # (Z + normal)² is noncentral chi-square with one degree of freedom: its quantile is r(z)².
    r_squared = chndtrix(coverage, 1.0, z * z / n)

    def shortfall(log_k: float) -> float:
        tail = chdtrc(n - 1, (n - 1) * r_squared * math.exp(-2.0 * log_k))
        return float(np.sum(mass * tail)) - confidence

    return math.exp(float(brentq(shortfall, -20.0, 40.0, xtol=1e-13)))


def _mean_plus_minus(
    values: Iterable[Any], confidence: float, *, method: str, smallest_n: int, one_more: bool
) -> Interval:
    check_fraction(confidence)
    sample = to_floats(values)
    refusal = _refusal(sample, smallest_n=smallest_n)
    if refusal is not None:
        return _undefined(sample, confidence, method, refusal)
    n = len(sample)
    mean, std = mean_and_std(sample)
    spread = std * math.sqrt(1.0 + 1.0 / n) if one_more else std / math.sqrt(n)
    return _around(mean, t_quantile(n - 1, confidence) * spread, sample, confidence, method)


def _refusal(sample: list[float], *, smallest_n: int) -> str | None:
    n = len(sample)
    if n == 0:
        return "no values"
    note = not_finite_note(sample)
    if note is not None:
        return note
    if n == 1:
        return "no interval: one seed tells nothing about spread"
    if n < smallest_n:
        return f"no interval: {n} values, and it takes at least {smallest_n}"
    return None


def _undefined(sample: list[float], confidence: float, method: str, reason: str) -> Interval:
    return Interval(low=None, high=None, confidence=confidence, method=method, n=len(sample), notes=(reason,))


def _around(mean: float, half: float, sample: list[float], confidence: float, method: str) -> Interval:
    n = len(sample)
    if not (math.isfinite(mean - half) and math.isfinite(mean + half)):
        return _undefined(sample, confidence, method, "no interval: its limits are too large for a double")
    notes = (identical_note(n),) if min(sample) == max(sample) else ()
    return Interval(low=mean - half, high=mean + half, confidence=confidence, method=method, n=n, notes=notes)


def identical_note(n: int) -> str:
    """What to say where all of at least two values are the same."""
    return f"all {n} values are identical, so every interval has zero width: does the seed take effect?"
