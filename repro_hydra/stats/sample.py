"""A sample: what is accepted as one, and its mean and standard deviation without avoidable rounding."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any


def to_floats(values: Iterable[Any], *, name: str = "values") -> list[float]:
    """`values` as a list of floats, in their order; NaN and infinities are kept, never dropped.

    Parameters
    ----------
    values : iterable of numbers, shape (n,)
        A list, a tuple, a one-dimensional array or tensor, a pandas series, a generator.
    name : str
        What the caller calls it, for the message.

    Raises
    ------
    TypeError
        For a mapping or a set (one would average the keys, the other loses equal values), a string, and an
        element that is no number. A truth value is no number here.
    ValueError
        For more than one dimension, or an integer too large for a double.
    """
    if isinstance(values, (str, bytes, Mapping, Set)):
        raise TypeError(f"{name}: expected a sequence of numbers, found a {type(values).__name__}")
    ndim = getattr(values, "ndim", 1)
    if ndim != 1:
        raise ValueError(f"{name}: expected one dimension, found {ndim}")
    to_list = getattr(values, "tolist", None)
    items: Iterable[Any] = to_list() if callable(to_list) else values
    return [item if type(item) is float else _to_float(item, f"{name}[{i}]") for i, item in enumerate(items)]


def _to_float(item: Any, where: str) -> float:
    ndim = getattr(item, "ndim", None)
    scalar = item.item() if ndim == 0 else item  # a NumPy scalar, or a tensor of one number
    if isinstance(scalar, (bool, str, bytes)) or ndim not in (None, 0):
        raise TypeError(f"{where}: expected a number, found {type(scalar).__name__} {scalar!r}")
    try:
        return float(scalar)
    except TypeError:
        raise TypeError(f"{where}: expected a number, found {type(scalar).__name__} {scalar!r}") from None
    except OverflowError:
        raise ValueError(f"{where}: expected a number that fits a double, found a larger integer") from None


def check_fraction(fraction: float, *, name: str = "confidence") -> None:
    """Refuse what is not strictly between 0 and 1: a confidence of 95, say, or an alpha of 0.

    Raises
    ------
    ValueError
        With what was found, and for a percentage what to write instead.
    """
    if not 0.0 < fraction < 1.0:
        hint = f". Write {fraction / 100:g}" if 1.0 < fraction < 100.0 else ""
        raise ValueError(f"{name}: expected a number between 0 and 1, found {fraction!r}{hint}")


def check_positive(number: float, *, name: str) -> None:
    """Refuse what is not a positive finite number.

    Raises
    ------
    ValueError
        With what was found.
    """
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name}: expected a positive number, found {number!r}")


def mean_and_std(values: Sequence[float]) -> tuple[float, float]:
    """The mean and the sample standard deviation (divisor n - 1).

    Parameters
    ----------
    values : sequence of float, shape (n,)
        Finite, n >= 1.

    Returns
    -------
    mean, std : float
        In the unit of the values. `std` is 0 for n = 1 (the caller refuses it there), and infinite where it
        exceeds the largest double.

    Notes
    -----
    Two passes with exactly rounded sums (`math.fsum`), on values scaled by a power of two so that no square
    overflows or vanishes. So the result does not depend on the order of the values; equal values give exactly
    that value and exactly 0; the mean never lies outside the range of the values; scaling the values by a power
    of two scales both exactly. Two-pass with correction: Chan, Golub & LeVeque, "Algorithms for Computing the
    Sample Variance", The American Statistician 37 (1983) 242-247.
    """
    n = len(values)
    lowest, highest = min(values), max(values)
    if lowest == highest:
        return lowest, 0.0
    exponent = math.frexp(max(-lowest, highest))[1]
    scaled = [math.ldexp(value, -exponent) for value in values]
    mean = math.fsum(scaled) / n
    mean += math.fsum([*scaled, *[-mean] * n]) / n  # what the division and its sum rounded away
    residuals = [value - mean for value in scaled]
    squares = math.fsum(r * r for r in residuals) - math.fsum(residuals) ** 2 / n
    std = math.sqrt(max(squares, 0.0) / (n - 1))
    return min(max(_unscale(mean, exponent), lowest), highest), _unscale(std, exponent)


def _unscale(number: float, exponent: int) -> float:
    try:
        return math.ldexp(number, exponent)
    except OverflowError:
        return math.copysign(math.inf, number)


def is_rounding(spread: float, values: Iterable[float]) -> bool:
    """Whether the spread of differences of `values` is no more than what subtracting them rounds."""
    return spread <= 4.0 * sys.float_info.epsilon * max(map(abs, values), default=0.0)


def not_finite_note(values: Sequence[float]) -> str | None:
    """How many of `values` are NaN or infinite, in words; None where all are finite."""
    nans = sum(math.isnan(value) for value in values)
    infinities = sum(math.isinf(value) for value in values)
    if not nans and not infinities:
        return None
    counts = [f"{count} {kind}" for count, kind in ((nans, "NaN"), (infinities, "infinite")) if count]
    found = " and ".join(counts)
    return f"{found} among {len(values)} values: none is left out, so nothing is computed from them"


def quantile(ordered: Sequence[float], fraction: float) -> float:
    """The `fraction` quantile of values in ascending order, linear between neighbours.

    Parameters
    ----------
    ordered : sequence of float, shape (n,)
        Ascending, finite, n >= 1.
    fraction : float
        From 0 to 1; 0.5 is the median.

    Notes
    -----
    Type 7 of Hyndman & Fan, "Sample Quantiles in Statistical Packages", The American Statistician 50 (1996)
    361-365; the default of NumPy and of R.
    """
    position = (len(ordered) - 1) * fraction
    below = math.floor(position)
    weight = position - below
    low, high = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    if weight == 0.0 or low == high:
        return low
    return low * (1.0 - weight) + high * weight  # high - low might overflow


def t_quantile(degrees_of_freedom: float, confidence: float) -> float:
    """The factor of a two-sided interval: Student's t at (1 + confidence) / 2."""
    from scipy.special import stdtrit  # late: SciPy costs 0.2 s to import

    # From the lower tail, where a confidence near 1 loses no digits.
    return -float(stdtrit(degrees_of_freedom, (1.0 - confidence) / 2.0))
