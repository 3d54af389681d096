"""How many seeds: for an interval of a wanted width, or to find a difference that is worth finding."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from repro_hydra.stats.noncentral import LARGEST_FOR_SCIPY, probability_below
from repro_hydra.stats.sample import (
    check_fraction,
    check_positive,
    mean_and_std,
    not_finite_note,
    t_quantile,
    to_floats,
)

# More seeds than anybody runs: the answer is then "too many" rather than a number.
LARGEST_N = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class SeedsNeeded:
    """How many seeds a pilot says are needed in all, and how sure that is.

    Attributes
    ----------
    n : int or None
        Seeds in all, of each configuration, if the pilot's standard deviation were the true one.
    n_low, n_high : int or None
        The same with the limits of the interval for the standard deviation; `n_high` is the safe choice.
        None for more than a million.
    pilot_n : int
        Seeds that the pilot has.
    pilot_std, std_low, std_high : float or None
        Its standard deviation (divisor n - 1), and the chi-square interval for the true one.
    confidence : float
        Of the interval aimed at or the test, and of the interval for the standard deviation.
    notes : tuple of str
        Why it is undefined, or what to bear in mind.
    """

    n: int | None = None
    n_low: int | None = None
    n_high: int | None = None
    pilot_n: int
    pilot_std: float | None = None
    std_low: float | None = None
    std_high: float | None = None
    confidence: float
    notes: tuple[str, ...] = ()

    @property
    def n_more(self) -> int | None:
        """Seeds still to run by `n`; 0 where the pilot is enough."""
        return None if self.n is None else max(0, self.n - self.pilot_n)


def std_interval(std: float, n: int, confidence: float) -> tuple[float, float]:
    """The chi-square interval for the standard deviation of all seeds.

    Parameters
    ----------
    std : float
        Of `n` values, with the divisor n - 1; positive.
    n : int
        At least 2.
    confidence : float
        Between 0 and 1.

    Notes
    -----
    Exact for normal values, and far off for heavy tails at any n.
    """
    from scipy.special import chdtri

    tail = (1.0 - confidence) / 2.0
    return (
        std * math.sqrt((n - 1) / float(chdtri(n - 1, tail))),
        std * math.sqrt((n - 1) / float(chdtri(n - 1, 1.0 - tail))),
    )


def seeds_for_half_width(pilot: Iterable[Any], *, half_width: float, confidence: float = 0.95) -> SeedsNeeded:
    """How many seeds in all make the t-interval for the mean no wider than mean ± half_width.

    Parameters
    ----------
    pilot : iterable of numbers, shape (n,)
        One a seed, n >= 2.
    half_width : float
        In the unit of the values, positive.
    confidence : float
        Between 0 and 1.

    Notes
    -----
    The smallest n with t(n - 1) · std / sqrt(n) <= half_width. It is a plan for a new sample: to add seeds to
    the pilot and keep the width, with the coverage exact, use `stein_two_stage`. The range from `n_low` to
    `n_high` comes from the chi-square interval for the standard deviation, exact for normal values; with three
    seeds it spans a factor of a hundred.

    Raises
    ------
    ValueError, TypeError
        For a confidence outside (0, 1), a half-width that is not positive, what is no sample (`to_floats`).
    """
    check_positive(half_width, name="half_width")

    def enough(n: int, std: float) -> bool:
        return t_quantile(n - 1, confidence) * std / math.sqrt(n) <= half_width

    return _from_pilot(pilot, confidence, enough)


def seeds_for_difference(
    pilot: Iterable[Any],
    *,
    difference: float,
    paired: bool,
    power: float = 0.8,
    confidence: float = 0.95,
) -> SeedsNeeded:
    """How many seeds in all let a t-test find a difference of this size, with the given power.

    Parameters
    ----------
    pilot : iterable of numbers, shape (n,)
        Where paired, the differences seed by seed; else the values of one configuration, whose spread is taken
        to be that of the other. n >= 2.
    difference : float
        The true difference of the means that is worth finding, in the unit of the values; its sign is ignored.
    paired : bool
        Whether the two configurations will share their seeds.
    power : float
        The probability to find it, between 0 and 1.
    confidence : float
        1 - confidence is the probability to find a difference where there is none.

    Notes
    -----
    As `seeds_for_power` for the effect difference / std. Do not put the pilot's own observed difference in:
    that "observed power" only says the p-value again (Hoenig & Heisey, The American Statistician 55 (2001)
    19-24).

    Raises
    ------
    ValueError, TypeError
        For a difference of 0, fractions outside (0, 1), what is no sample (`to_floats`).
    """
    check_positive(abs(difference), name="difference")
    check_fraction(power, name="power")

    def enough(n: int, std: float) -> bool:
        effect = abs(difference) / std
        return power_of_t_test(effect, n, paired=paired, confidence=confidence) >= power

    return _from_pilot(pilot, confidence, enough)


def seeds_for_power(
    effect_size: float, *, paired: bool, power: float = 0.8, confidence: float = 0.95
) -> int | None:
    """How many seeds (of each configuration) a two-sided t-test needs to find an effect.

    Parameters
    ----------
    effect_size : float
        The true difference in standard deviations: of the paired differences where paired, else of either
        configuration. Its sign is ignored.
    paired : bool
        Whether the configurations share their seeds.
    power, confidence : float
        Between 0 and 1.

    Returns
    -------
    int or None
        At least 2; None for more than a million.

    Notes
    -----
    Cohen, "Statistical Power Analysis for the Behavioral Sciences", 2nd ed. (1988), ch. 2: for 80 % power at
    95 % an effect of 1 takes 17 a group or 10 pairs, one of 0.5 takes 64 or 34.

    Raises
    ------
    ValueError
        For an effect of 0, and fractions outside (0, 1).
    """
    check_positive(abs(effect_size), name="effect_size")
    check_fraction(power, name="power")
    check_fraction(confidence)
    return _smallest(lambda n: power_of_t_test(effect_size, n, paired=paired, confidence=confidence) >= power)


def power_of_t_test(effect_size: float, n: int, *, paired: bool, confidence: float = 0.95) -> float:
    """The probability that a two-sided t-test finds an effect of this size.

    Parameters
    ----------
    effect_size : float
        As for `seeds_for_power`; of 0 the result is 1 - confidence.
    n : int
        Seeds of each configuration, at least 2.
    paired : bool
        One-sample test of n differences, or two-sample test of n and n values with equal variances.
    confidence : float
        Between 0 and 1.

    Notes
    -----
    Exact under normality, by the noncentral t distribution, both tails counted.

    Raises
    ------
    ValueError
        For n < 2, an effect that is not finite, a confidence outside (0, 1).
    """
    check_fraction(confidence)
    if n < 2:
        raise ValueError(f"n: expected at least 2, found {n}")
    if not math.isfinite(effect_size):
        raise ValueError(f"effect_size: expected a finite number, found {effect_size!r}")
    degrees_of_freedom = n - 1 if paired else 2 * (n - 1)
    noncentrality = abs(effect_size) * math.sqrt(n if paired else n / 2.0)
    critical = t_quantile(degrees_of_freedom, confidence)

    if noncentrality > LARGEST_FOR_SCIPY:
        from scipy.special import chdtr

        # There T is noncentrality / w with w² = chi2/df, to 1e-8, and SciPy's distribution soon gives NaN.
        return float(chdtr(degrees_of_freedom, degrees_of_freedom * (noncentrality / critical) ** 2))
    above = 1.0 - probability_below(critical, degrees_of_freedom, noncentrality)
    below = probability_below(-critical, degrees_of_freedom, noncentrality)
    return min(1.0, above + below)


def _from_pilot(pilot: Iterable[Any], confidence: float, enough: Callable[[int, float], bool]) -> SeedsNeeded:
    check_fraction(confidence)
    sample = to_floats(pilot, name="pilot")
    pilot_n = len(sample)
    reason = why_no_pilot(sample)
    if reason is not None:
        return SeedsNeeded(pilot_n=pilot_n, confidence=confidence, notes=(reason,))
    std = mean_and_std(sample)[1]
    low, high = std_interval(std, pilot_n, confidence)

    def needed(spread: float) -> int | None:
        return _smallest(lambda n: enough(n, spread))

    n, n_low, n_high = needed(std), needed(low), needed(high)
    notes = () if n_high is not None else (f"more than {LARGEST_N} seeds where a number is missing",)
    return SeedsNeeded(
        n=n,
        n_low=n_low,
        n_high=n_high,
        pilot_n=pilot_n,
        pilot_std=std,
        std_low=low,
        std_high=high,
        confidence=confidence,
        notes=notes,
    )


def why_no_pilot(sample: list[float]) -> str | None:
    """Why nothing can be planned from this pilot, in words; None where something can."""
    reason = not_finite_note(sample)
    if reason is not None:
        return reason
    if len(sample) < 2:
        return f"no estimate: {len(sample)} seeds, and it takes at least 2 to know the spread"
    if min(sample) == max(sample):
        return f"no estimate: all {len(sample)} values are identical, so the spread is not known"
    if not math.isfinite(mean_and_std(sample)[1]):
        return "no estimate: the spread is too large for a double"
    return None


def _smallest(enough: Callable[[int], bool]) -> int | None:
    """The smallest n from 2 up that is enough; being enough must not end as n grows."""
    high = 2
    while not enough(high):
        if high >= LARGEST_N:
            return None
        high = min(2 * high, LARGEST_N)
    low = max(1, high // 2)  # not enough, or below 2
    while high - low > 1:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle
    return high
