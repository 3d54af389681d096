"""How large a difference is: in standard deviations (Hedges' g), and as the chance that a run of A beats one of B."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from repro_hydra.stats.compare import paired_differences
from repro_hydra.stats.noncentral import noncentrality_limits
from repro_hydra.stats.sample import check_fraction, is_rounding, mean_and_std, not_finite_note, to_floats


@dataclass(frozen=True, kw_only=True, slots=True)
class EffectSize:
    """A standardized difference, or the reason why there is none.

    Attributes
    ----------
    value : float or None
        Hedges' g: the difference of the means (A minus B) in standard deviations, corrected for small samples.
    uncorrected : float or None
        Cohen's d, without the correction (of which there is none for two pairs).
    low, high : float or None
        The interval for the standardized difference, at `confidence`.
    confidence : float
        What the interval aims at.
    paired : bool
        Whether the unit is the standard deviation of the paired differences, rather than the pooled one.
    n_a, n_b : int
        Number of values.
    notes : tuple of str
        Why it is undefined.
    """

    value: float | None = None
    uncorrected: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float
    paired: bool
    n_a: int
    n_b: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbabilityOfImprovement:
    """The chance that a run of A has a higher value than a run of B, or the reason why it is not known.

    Attributes
    ----------
    value : float or None
        P(A > B) + P(A = B)/2, from 0 to 1; 0.5 is no difference.
    low, high : float or None
        The interval for it, at `confidence`.
    confidence : float
        What the interval aims at.
    n_a, n_b : int
        Number of values.
    notes : tuple of str
        Why it is undefined.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float
    n_a: int
    n_b: int
    notes: tuple[str, ...] = ()


def hedges_g(
    a: Iterable[Any], b: Iterable[Any], *, paired: bool = False, confidence: float = 0.95
) -> EffectSize:
    """The difference of two configurations in standard deviations, with an exact interval.

    Parameters
    ----------
    a, b : iterable of numbers, shape (n,) and (m,)
        At least 2 of each; where paired as many of each, the i-th of both of one seed.
    paired : bool
        False: the unit is the pooled standard deviation. True: that of the differences, which answers another
        question (how steady the difference is over seeds); the two must not be mixed in one table.
    confidence : float
        Between 0 and 1.

    Notes
    -----
    Assumes normal distributions, of equal variance where not paired. The correction is the exact one, with
    gamma functions. The interval inverts the noncentral t distribution; it is one for the true value, so it is
    not itself corrected. Hedges, "Distribution Theory for Glass's Estimator of Effect Size", Journal of
    Educational Statistics 6 (1981) 107-128; Steiger & Fouladi (1997).

    Raises
    ------
    ValueError, TypeError
        For a confidence outside (0, 1), samples of different lengths where paired, what is no sample
        (`to_floats`).
    """
    check_fraction(confidence)
    first, second = to_floats(a, name="a"), to_floats(b, name="b")
    differences = paired_differences(first, second) if paired else []
    n_a, n_b = len(first), len(second)

    def undefined(reason: str) -> EffectSize:
        return EffectSize(confidence=confidence, paired=paired, n_a=n_a, n_b=n_b, notes=(reason,))

    for name, sample in (("A", first), ("B", second)):
        note = not_finite_note(sample)
        if note is not None or len(sample) < 2:
            return undefined(f"{name}: {note or f'{len(sample)} of the 2 values that it takes at least'}")
    if paired:
        if not all(map(math.isfinite, differences)):
            return undefined("a difference is too large for a double")
        difference, unit = mean_and_std(differences)
        degrees_of_freedom, root = n_a - 1, math.sqrt(n_a)
    else:
        (mean_a, std_a), (mean_b, std_b) = mean_and_std(first), mean_and_std(second)
        difference = mean_a - mean_b
        degrees_of_freedom, root = n_a + n_b - 2, math.sqrt(n_a * n_b / (n_a + n_b))
        unit = math.hypot(
            std_a * math.sqrt((n_a - 1) / degrees_of_freedom),
            std_b * math.sqrt((n_b - 1) / degrees_of_freedom),
        )
    if unit == 0.0 or (paired and is_rounding(unit, (*first, *second))):
        return undefined("the spread is zero: there is no unit to measure in")
    d = difference / unit
    if not all(map(math.isfinite, (difference, unit, d))):
        return undefined("the difference, or its ratio to the spread, is too large for a double")
    low, high = noncentrality_limits(d * root, degrees_of_freedom, confidence)
    factor = _small_sample_factor(degrees_of_freedom)
    notes = () if factor is not None else ("with two pairs there is no corrected value, only a raw one",)
    return EffectSize(
        value=None if factor is None else d * factor,
        uncorrected=d,
        low=low / root,
        high=high / root,
        confidence=confidence,
        paired=paired,
        n_a=n_a,
        n_b=n_b,
        notes=notes,
    )


def probability_of_improvement(
    a: Iterable[Any], b: Iterable[Any], *, confidence: float = 0.95
) -> ProbabilityOfImprovement:
    """The chance that a fresh run of A has a higher value than a fresh run of B.

    Parameters
    ----------
    a, b : iterable of numbers, shape (n,) and (m,)
        At least 2 of each. For a metric where lower is better, hand in B first.
    confidence : float
        Between 0 and 1.

    Notes
    -----
    The Mann-Whitney statistic over n · m. Assumes two independent samples: it does not use the pairing by seed.
    The interval is Newcombe's method 5, which has a width where the samples do not overlap too, unlike
    bootstrap and DeLong's, and covers well from five values each: "Confidence Intervals for an Effect Size
    Measure Based on the Mann-Whitney Statistic. Part 2", Statistics in Medicine 25 (2006) 559-573. Recommended
    for comparing algorithms by Agarwal et al., NeurIPS 2021.

    Raises
    ------
    ValueError, TypeError
        For a confidence outside (0, 1), and for what is no sample (`to_floats`).
    """
    check_fraction(confidence)
    first, second = to_floats(a, name="a"), to_floats(b, name="b")
    n_a, n_b = len(first), len(second)
    for name, sample in (("A", first), ("B", second)):
        note = not_finite_note(sample)
        if note is not None or len(sample) < 2:
            reason = f"{name}: {note or f'{len(sample)} of the 2 values that it takes at least'}"
            return ProbabilityOfImprovement(confidence=confidence, n_a=n_a, n_b=n_b, notes=(reason,))
    value = _share_above(first, second)
    low, high = improvement_limits(value, n_a, n_b, confidence)
    return ProbabilityOfImprovement(value=value, low=low, high=high, confidence=confidence, n_a=n_a, n_b=n_b)


def improvement_limits(value: float, n_a: int, n_b: int, confidence: float) -> tuple[float, float]:
    """Newcombe's limits (method 5): the chances p with |value - p| = z · sqrt(variance at p).

    Parameters
    ----------
    value : float
        The observed share, from 0 to 1.
    n_a, n_b : int
        Number of values, at least 2 of each.
    confidence : float
        Between 0 and 1.

    Notes
    -----
    The variance is Hanley and McNeil's for exponential distributions, with both sample sizes replaced by their
    mean in its numerator.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtri

    z_squared = float(ndtri((1.0 - confidence) / 2.0)) ** 2
    star = (n_a + n_b) / 2.0 - 1.0

    def excess(p: float) -> float:
        variance = p * (1.0 - p) * (1.0 + star * ((1.0 - p) / (2.0 - p) + p / (1.0 + p))) / (n_a * n_b)
        return (value - p) ** 2 - z_squared * variance

    # 0 and 1 themselves are roots where nothing, or everything, lies above: step inside.
    low = 0.0 if value == 0.0 else float(brentq(excess, 0.0, min(value, 1.0 - 1e-9), xtol=1e-13))
    high = 1.0 if value == 1.0 else float(brentq(excess, max(value, 1e-9), 1.0, xtol=1e-13))
    return low, high


def _share_above(a: list[float], b: list[float]) -> float:
    ordered = sorted(b)
    doubled = sum(bisect_left(ordered, x) + bisect_right(ordered, x) for x in a)
    return doubled / (2 * len(a) * len(b))


def _small_sample_factor(degrees_of_freedom: int) -> float | None:
    """Hedges' exact factor, gamma(m/2) / (sqrt(m/2) · gamma((m-1)/2)); None for one degree of freedom."""
    if degrees_of_freedom == 1:
        return None  # the expectation of d does not exist
    half = degrees_of_freedom / 2.0
    return math.exp(math.lgamma(half) - math.lgamma(half - 0.5)) / math.sqrt(half)
