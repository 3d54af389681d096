"""Two configurations: their difference with its interval, paired or not, and many differences at once (Holm)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from repro_hydra.stats.sample import (
    check_fraction,
    is_rounding,
    mean_and_std,
    not_finite_note,
    t_quantile,
    to_floats,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """The difference of two configurations' means, or the reason why there is none.

    Attributes
    ----------
    difference : float or None
        Mean of A minus mean of B.
    ci_low, ci_high : float or None
        The interval for it, at `confidence`.
    confidence : float
        What the interval aims at.
    statistic, degrees_of_freedom, p_value : float or None
        Of the two-sided t-test that both are equal.
    method : str
        ``"paired t"`` or ``"Welch t"``.
    n_a, n_b : int
        How many values of each it stands on; equal where paired.
    notes : tuple of str
        Why something is undefined, which seeds were left out.
    """

    difference: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    confidence: float
    statistic: float | None = None
    degrees_of_freedom: float | None = None
    p_value: float | None = None
    method: str
    n_a: int
    n_b: int
    notes: tuple[str, ...] = ()

    @property
    def decided(self) -> bool | None:
        """Whether the interval excludes zero; None where there is no interval."""
        if self.ci_low is None or self.ci_high is None:
            return None
        return self.ci_low > 0.0 or self.ci_high < 0.0


def paired_t_test(a: Iterable[Any], b: Iterable[Any], *, confidence: float = 0.95) -> Difference:
    """Student's t-test and interval for the mean of the differences a[i] - b[i].

    Parameters
    ----------
    a, b : iterable of numbers, shape (n,)
        The i-th of both belong to one seed; n >= 2.
    confidence : float
        Between 0 and 1.

    Notes
    -----
    Assumes that the differences are independent and from one normal distribution. Where all of them are the
    same the statistic is undefined, and there is no interval either: it would claim certainty. Student,
    Biometrika 6 (1908) 1-25.

    Raises
    ------
    ValueError
        For samples of different lengths, a confidence outside (0, 1).
    TypeError
        For what is no sample (`to_floats`).
    """
    check_fraction(confidence)
    first, second = to_floats(a, name="a"), to_floats(b, name="b")
    differences = paired_differences(first, second)
    n = len(differences)
    reason = _why_untestable({"A": first, "B": second})
    if reason is None and not all(map(math.isfinite, differences)):
        reason = "a difference is too large for a double"
    if reason is not None:
        return Difference(confidence=confidence, method="paired t", n_a=n, n_b=n, notes=(reason,))
    mean, std = mean_and_std(differences)
    if is_rounding(std, (*first, *second)) or std / math.sqrt(n) == 0.0:
        but = ", but for rounding" if std else ""
        same = f"all {n} differences are the same ({mean:g}){but}: no test and no interval"
        return Difference(
            difference=mean, confidence=confidence, method="paired t", n_a=n, n_b=n, notes=(same,)
        )
    return _t_test(mean, std / math.sqrt(n), n - 1, confidence, method="paired t", n_a=n, n_b=n)


def welch_t_test(a: Iterable[Any], b: Iterable[Any], *, confidence: float = 0.95) -> Difference:
    """Welch's t-test and interval for the difference of two means, spreads not taken to be equal.

    Parameters
    ----------
    a : iterable of numbers, shape (n,)
        n >= 2.
    b : iterable of numbers, shape (m,)
        m >= 2.
    confidence : float
        Between 0 and 1.

    Notes
    -----
    Assumes independent samples, each from a normal distribution. Welch, "The Generalization of 'Student's'
    Problem When Several Different Population Variances Are Involved", Biometrika 34 (1947) 28-35; degrees of
    freedom after Satterthwaite.

    Raises
    ------
    ValueError, TypeError
        For a confidence outside (0, 1), and for what is no sample (`to_floats`).
    """
    check_fraction(confidence)
    first, second = to_floats(a, name="a"), to_floats(b, name="b")
    n_a, n_b = len(first), len(second)

    def untested(reason: str, difference: float | None = None) -> Difference:
        return Difference(
            difference=difference, confidence=confidence, method="Welch t", n_a=n_a, n_b=n_b, notes=(reason,)
        )

    reason = _why_untestable({"A": first, "B": second})
    if reason is not None:
        return untested(reason)
    (mean_a, std_a), (mean_b, std_b) = mean_and_std(first), mean_and_std(second)
    difference = mean_a - mean_b
    part_a, part_b = std_a / math.sqrt(n_a), std_b / math.sqrt(n_b)
    standard_error = math.hypot(part_a, part_b)
    if not math.isfinite(difference) or not math.isfinite(standard_error):
        return untested("the difference or its spread is too large for a double")
    if standard_error == 0.0:
        return untested("all values of A are the same, and all of B: no test and no interval", difference)
    share_a, share_b = (part_a / standard_error) ** 2, (part_b / standard_error) ** 2
    degrees_of_freedom = 1.0 / (share_a**2 / (n_a - 1) + share_b**2 / (n_b - 1))
    return _t_test(
        difference, standard_error, degrees_of_freedom, confidence, method="Welch t", n_a=n_a, n_b=n_b
    )


def holm(p_values: Iterable[float]) -> tuple[float, ...]:
    """Holm's correction of the p-values of several comparisons.

    Parameters
    ----------
    p_values : iterable of float, shape (k,)
        All the comparisons that were made, those without a finding too.

    Returns
    -------
    tuple of float, length k
        In the order given. One at most 1 - confidence is a finding, with that confidence for all k together.

    Notes
    -----
    Controls the probability of any false finding, whatever the dependence between the tests. Holm, "A Simple
    Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6 (1979) 65-70.

    Raises
    ------
    ValueError
        For a p-value outside [0, 1], or NaN.

    Examples
    --------
    >>> [round(p, 10) for p in holm([0.01, 0.04, 0.03, 0.005])]
    [0.03, 0.06, 0.06, 0.02]
    """
    given = to_floats(p_values, name="p_values")
    for index, p_value in enumerate(given):
        if not 0.0 <= p_value <= 1.0:
            raise ValueError(f"p_values[{index}]: expected a number from 0 to 1, found {p_value!r}")
    adjusted = [0.0] * len(given)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(given)), key=given.__getitem__)):
        largest = max(largest, min(1.0, (len(given) - rank) * given[index]))
        adjusted[index] = largest
    return tuple(adjusted)


def paired_differences(a: list[float], b: list[float]) -> list[float]:
    """a[i] - b[i].

    Raises
    ------
    ValueError
        For samples of different lengths.
    """
    if len(a) != len(b):
        raise ValueError(f"a and b: expected as many values of each, found {len(a)} and {len(b)}")
    return [x - y for x, y in zip(a, b, strict=True)]


def _why_untestable(samples: dict[str, list[float]]) -> str | None:
    for name, sample in samples.items():
        reason = not_finite_note(sample)
        if reason is not None:
            return f"{name}: {reason}"
        if len(sample) < 2:
            return f"{name} has {len(sample)} of the 2 values that it takes at least"
    return None


def _t_test(
    difference: float,
    standard_error: float,
    degrees_of_freedom: float,
    confidence: float,
    *,
    method: str,
    n_a: int,
    n_b: int,
) -> Difference:
    from scipy.special import stdtr

    statistic = difference / standard_error
    half = t_quantile(degrees_of_freedom, confidence) * standard_error
    if not all(map(math.isfinite, (statistic, difference - half, difference + half))):
        return Difference(
            difference=difference,
            confidence=confidence,
            method=method,
            n_a=n_a,
            n_b=n_b,
            notes=("the statistic or the interval is too large for a double",),
        )
    return Difference(
        difference=difference,
        ci_low=difference - half,
        ci_high=difference + half,
        confidence=confidence,
        statistic=statistic,
        degrees_of_freedom=float(degrees_of_freedom),
        p_value=2.0 * float(stdtr(degrees_of_freedom, -abs(statistic))),
        method=method,
        n_a=n_a,
        n_b=n_b,
    )
