"""What a wild seed cannot move far: trimmed and interquartile means; and whether the sample is plainly not normal."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from repro_hydra.stats.sample import check_fraction, not_finite_note, to_floats

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SMALLEST_N_FOR_SHAPIRO = 3
# SciPy's p-value is an approximation made for at most so many values.
LARGEST_N_FOR_SHAPIRO = 5000
FEW_FOR_NORMALITY = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class TrimmedMean:
    """A trimmed mean, or the reason why there is none.

    Attributes
    ----------
    value : float or None
        In the unit of the values.
    proportion : float
        The share of the sample that was cut at each end.
    n : int
        Number of values.
    notes : tuple of str
        Why it is undefined, or what to bear in mind.
    """

    value: float | None
    proportion: float
    n: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class NormalityCheck:
    """Whether a sample is plainly not normal. That it is normal, no test can say.

    Attributes
    ----------
    plainly_not_normal : bool or None
        Whether the p-value is below 1 - confidence; None where it could not be tested.
    statistic, p_value : float or None
        Shapiro and Wilk's W, and its p-value.
    n : int
        Number of values.
    confidence : float
        What "plainly" was taken to mean.
    notes : tuple of str
        Why it is undefined, and what so few values can show.
    """

    plainly_not_normal: bool | None
    statistic: float | None
    p_value: float | None
    n: int
    confidence: float
    notes: tuple[str, ...] = ()


def interquartile_mean(values: Iterable[Any]) -> TrimmedMean:
    """The mean of the middle half of the values, those at its edge counted in part.

    Parameters
    ----------
    values : iterable of numbers, shape (n,)
        One a seed.

    Notes
    -----
    A trimmed mean with a quarter cut at each end, by fractional weights: {0, 1, 100} gives 17.33, where cutting
    whole values only would cut none of three. Recommended for few seeds by Agarwal et al., "Deep Reinforcement
    Learning at the Edge of the Statistical Precipice", NeurIPS 2021, over runs and tasks together. It estimates
    the mean of the middle half of all seeds, which for skewed results is not their mean. An interval:
    `bootstrap_interval(values, statistic=interquartile_means)`.

    Raises
    ------
    ValueError, TypeError
        For what is no sample (`to_floats`).
    """
    return trimmed_mean(values, proportion=0.25)


def trimmed_mean(values: Iterable[Any], *, proportion: float) -> TrimmedMean:
    """The mean of what remains when the share `proportion` of the sample is cut at each end.

    Parameters
    ----------
    values : iterable of numbers, shape (n,)
        One a seed.
    proportion : float
        At each end; from 0 (the mean) to below 0.5 (close to the median).

    Notes
    -----
    proportion · n values are cut at each end, the last of them in part. Where that is a whole number it is
    `scipy.stats.trim_mean`, which elsewhere cuts fewer. Tukey & McLaughlin, Sankhya A 25 (1963) 331-352.

    Raises
    ------
    ValueError, TypeError
        For a proportion outside [0, 0.5), and for what is no sample (`to_floats`).
    """
    if not 0.0 <= proportion < 0.5:
        raise ValueError(f"proportion: expected a number from 0 to below 0.5, found {proportion!r}")
    ordered = sorted(to_floats(values))
    n = len(ordered)
    reason = not_finite_note(ordered) if n else "no values"
    if reason is not None:
        return TrimmedMean(value=None, proportion=proportion, n=n, notes=(reason,))
    cut = proportion * n
    weights = [max(0.0, min(i + 1.0, n - cut) - max(float(i), cut)) for i in range(n)]
    # The largest weight is at most 1, so dividing first keeps huge values from overflowing.
    total = math.fsum(weights)
    mean = math.fsum(weight / total * value for weight, value in zip(weights, ordered, strict=True))
    notes = ("of one value it is that value",) if n == 1 else ()
    clamped = min(max(mean, ordered[0]), ordered[-1])
    return TrimmedMean(value=clamped, proportion=proportion, n=n, notes=notes)


def interquartile_means(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """The interquartile mean of each row, for `bootstrap_interval`.

    Parameters
    ----------
    samples : array, shape (..., n)
        Finite.

    Returns
    -------
    array, shape (...)
    """
    import numpy as np

    n = samples.shape[-1]
    cut = 0.25 * n
    index = np.arange(n, dtype=np.float64)
    weights = np.clip(np.minimum(index + 1.0, n - cut) - np.maximum(index, cut), 0.0, None)
    means: NDArray[np.float64] = np.sort(samples, axis=-1) @ (weights / weights.sum())
    return means


def normality_check(values: Iterable[Any], *, confidence: float = 0.99) -> NormalityCheck:
    """Whether the values are plainly not from a normal distribution (Shapiro and Wilk's test).

    Parameters
    ----------
    values : iterable of numbers, shape (n,)
        One a seed; tested from n = 3 up.
    confidence : float
        Between 0 and 1; 0.99, since an alarm is meant to be plain.

    Notes
    -----
    With few seeds it finds gross departures only, so silence is no proof, and the notes tell n. Shapiro & Wilk,
    Biometrika 52 (1965) 591-611; computed by `scipy.stats.shapiro`, valid to n = 5000.

    Raises
    ------
    ValueError, TypeError
        For a confidence outside (0, 1), and for what is no sample (`to_floats`).
    """
    check_fraction(confidence)
    sample = to_floats(values)
    n = len(sample)

    def undefined(reason: str) -> NormalityCheck:
        return NormalityCheck(
            plainly_not_normal=None, statistic=None, p_value=None, n=n, confidence=confidence, notes=(reason,)
        )

    reason = not_finite_note(sample) if n else "no values"
    if reason is not None:
        return undefined(reason)
    if n < SMALLEST_N_FOR_SHAPIRO:
        return undefined(f"not tested: {n} values, and it takes at least {SMALLEST_N_FOR_SHAPIRO}")
    if n > LARGEST_N_FOR_SHAPIRO:
        return undefined(f"not tested: {n} values, and the p-value is known to {LARGEST_N_FOR_SHAPIRO} only")
    if min(sample) == max(sample):
        return undefined(f"not tested: all {n} values are identical")

    from scipy.stats import shapiro

    result = shapiro(sample)
    p_value = float(result.pvalue)
    notes: tuple[str, ...] = ()
    if n < FEW_FOR_NORMALITY:
        notes = (f"tested with {n} values, which shows only gross departures from the normal",)
    return NormalityCheck(
        plainly_not_normal=p_value < 1.0 - confidence,
        statistic=float(result.statistic),
        p_value=p_value,
        n=n,
        confidence=confidence,
        notes=notes,
    )
