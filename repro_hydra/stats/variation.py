"""The coefficient of variation, std / |mean|: when it means something, its small-sample correction, its interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from repro_hydra.stats.intervals import Interval, identical_note
from repro_hydra.stats.noncentral import noncentrality_limits
from repro_hydra.stats.sample import check_fraction, mean_and_std, not_finite_note, to_floats

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VariationMethod = Literal["vangel", "mckay", "noncentral_t"]

# A mean within this many standard errors of zero is not told apart from zero, and the ratio says nothing.
NEAR_ZERO_STANDARD_ERRORS = 2.0
# Above it a normal sample of this spread would hold negative values, and McKay's approximation fails.
LARGEST_FOR_APPROXIMATION = 1.0 / 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class CoefficientOfVariation:
    """A coefficient of variation, or the reason why there is none.

    Attributes
    ----------
    value : float or None
        std / |mean| with the divisor n - 1, uncorrected; a fraction, no percentage.
    corrected : float or None
        (1 + 1/(4n)) · value.
    n : int
        Number of values.
    notes : tuple of str
        Why it is undefined.
    """

    value: float | None
    corrected: float | None
    n: int
    notes: tuple[str, ...] = ()


def coefficient_of_variation(values: Iterable[Any]) -> CoefficientOfVariation:
    """The coefficient of variation, plain and corrected for small samples.

    Parameters
    ----------
    values : iterable of numbers, shape (n,)
        On a scale with a true zero (an accuracy, a time), n >= 2.

    Notes
    -----
    Undefined for n < 2, for values that are not finite, for values of both signs, and for a mean within two
    standard errors of zero: that ratio jumps from seed to seed, and grows without bound. Two standard errors
    rather than the t-interval, because at n = 2 the latter would refuse each coefficient above 0.11. Values of
    one sign are refused above sqrt(n) / 2 only.

    The correction removes the bias of the standard deviation of normal values to the order 1/n: Haldane,
    Biometrika 42 (1955) 484; Sokal & Rohlf, "Biometry", 3rd ed. (1995), p. 58.

    Raises
    ------
    ValueError, TypeError
        For what is no sample (`to_floats`).
    """
    sample = to_floats(values)
    n = len(sample)
    if n < 2:
        reason = "one seed tells nothing about spread" if n else "no values"
    else:
        reason = not_finite_note(sample) or ""
    if not reason:
        mean, std = mean_and_std(sample)
        reason = why_undefined(sample, mean=mean, std=std) or ""
        if not reason:
            ratio = std / abs(mean)
            return CoefficientOfVariation(value=ratio, corrected=corrected(ratio, n), n=n)
    return CoefficientOfVariation(
        value=None, corrected=None, n=n, notes=(f"no coefficient of variation: {reason}",)
    )


def corrected(ratio: float, n: int) -> float:
    """The coefficient `ratio` of `n` values, corrected for small samples: (1 + 1/(4n)) · ratio."""
    return (1.0 + 1.0 / (4.0 * n)) * ratio


def why_undefined(sample: Sequence[float], *, mean: float, std: float) -> str | None:
    """Why finite values (n >= 2) with this mean and standard deviation have no coefficient; None if they have one."""
    if min(sample) < 0.0 < max(sample):
        return "the values have both signs"
    if mean == 0.0:
        return "the mean is zero"
    if not math.isfinite(std):
        return "the spread is too large for a double"
    standard_error = std / math.sqrt(len(sample))
    if abs(mean) <= NEAR_ZERO_STANDARD_ERRORS * standard_error:
        return (
            f"the mean {mean:.4g} lies within {NEAR_ZERO_STANDARD_ERRORS:g} standard errors "
            f"({standard_error:.4g} each) of zero"
        )
    return None


def coefficient_of_variation_interval(
    values: Iterable[Any], *, confidence: float = 0.95, method: VariationMethod = "vangel"
) -> Interval:
    """An interval for the coefficient of variation of all seeds, of which these are a sample.

    Parameters
    ----------
    values : iterable of numbers, shape (n,)
        As for `coefficient_of_variation`; undefined where that is.
    confidence : float
        Between 0 and 1.
    method : {"vangel", "mckay", "noncentral_t"}
        Vangel's modification of McKay's approximation (covers 0.948 to 0.952 for coefficients up to 0.3, from
        n = 3 up); McKay's own; the exact one.

    Notes
    -----
    All three assume independent values from one normal distribution. Vangel's and McKay's are flagged above a
    coefficient of 1/3, where they fail. Where the upper limit is unbounded there is no interval.

    Vangel, "Confidence Intervals for a Normal Coefficient of Variation", The American Statistician 50 (1996)
    21-26 (eq. 16 and 15); McKay, Journal of the Royal Statistical Society 95 (1932) 695-698; the exact one:
    sqrt(n)/coefficient is noncentral t with n - 1 degrees of freedom, Johnson & Welch, Biometrika 31 (1940)
    362-389.

    Raises
    ------
    ValueError, TypeError
        For a confidence outside (0, 1), an unknown method, and for what is no sample (`to_floats`).
    """
    sample = to_floats(values)
    estimate = coefficient_of_variation(sample)
    return variation_interval(estimate, confidence=confidence, method=method)


def variation_interval(
    estimate: CoefficientOfVariation, *, confidence: float = 0.95, method: VariationMethod = "vangel"
) -> Interval:
    """The interval of `coefficient_of_variation_interval` for a coefficient that is already known.

    Parameters
    ----------
    estimate : CoefficientOfVariation
        Its `value` and `n` are used.
    confidence, method
        As for `coefficient_of_variation_interval`.

    Raises
    ------
    ValueError
        For a confidence outside (0, 1) and an unknown method.
    """
    check_fraction(confidence)
    if method not in _METHODS:
        raise ValueError(f"method: expected one of {', '.join(_METHODS)}, found {method!r}")
    label, limits = _METHODS[method]

    def result(low: float | None, high: float | None, *notes: str) -> Interval:
        return Interval(low=low, high=high, confidence=confidence, method=label, n=estimate.n, notes=notes)

    ratio = estimate.value
    if ratio is None:
        return result(None, None, *estimate.notes)
    if ratio == 0.0:
        return result(0.0, 0.0, identical_note(estimate.n))
    low, high = limits(ratio, estimate.n, confidence)
    notes = []
    if method != "noncentral_t" and ratio > LARGEST_FOR_APPROXIMATION:
        notes.append(f"coefficient of variation {ratio:.3g} above 1/3: the {label} interval is unreliable")
    if not math.isfinite(high):
        notes.append(
            f"no interval for the coefficient of variation: at n = {estimate.n} a coefficient of {ratio:.3g} "
            "has no upper limit"
        )
        return result(None, None, *notes)
    return result(low, high, *notes)


def mckay_limits(
    ratio: NDArray[np.float64], n: int, confidence: float, *, modified: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """McKay's limits, or with `modified` Vangel's, for an array of coefficients.

    Parameters
    ----------
    ratio : array, any shape
        Uncorrected coefficients of variation, each of `n` values, above 0.

    Returns
    -------
    low, high : array, the shape of `ratio`
        Infinite where a limit is unbounded.
    """
    import numpy as np
    from scipy.special import chdtri

    tail = (1.0 - confidence) / 2.0
    shift = 2.0 if modified else 0.0

    def limit(chi_square: float) -> NDArray[np.float64]:
        denominator = ((chi_square + shift) / n - 1.0) * ratio**2 + chi_square / (n - 1)
        bounded = denominator > 0.0
        return np.where(bounded, ratio / np.sqrt(np.where(bounded, denominator, 1.0)), np.inf)

    return limit(float(chdtri(n - 1, tail))), limit(float(chdtri(n - 1, 1.0 - tail)))


def _scalar_mckay(ratio: float, n: int, confidence: float, *, modified: bool) -> tuple[float, float]:
    import numpy as np

    low, high = mckay_limits(np.asarray(ratio, dtype=np.float64), n, confidence, modified=modified)
    return float(low), float(high)


def _vangel(ratio: float, n: int, confidence: float) -> tuple[float, float]:
    return _scalar_mckay(ratio, n, confidence, modified=True)


def _mckay(ratio: float, n: int, confidence: float) -> tuple[float, float]:
    return _scalar_mckay(ratio, n, confidence, modified=False)


def _noncentral_t(ratio: float, n: int, confidence: float) -> tuple[float, float]:
    root = math.sqrt(n)
    low, high = noncentrality_limits(root / ratio, n - 1, confidence)
    return root / high, (root / low if low > 0.0 else math.inf)


_METHODS: dict[str, tuple[str, Callable[[float, int, float], tuple[float, float]]]] = {
    "vangel": ("Vangel", _vangel),
    "mckay": ("McKay", _mckay),
    "noncentral_t": ("exact noncentral t", _noncentral_t),
}
