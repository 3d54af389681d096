"""The noncentral t distribution, and turned round: which noncentralities fit an observed t."""

from __future__ import annotations

import math

# Above it SciPy's distribution function loses digits, then gives NaN (from about 1e5), while the limiting form
# below has an error of less than 1e-8 there.
LARGEST_FOR_SCIPY = 1e4


def probability_below(t: float, degrees_of_freedom: float, noncentrality: float) -> float:
    """P(T <= t) for T noncentral t.

    Parameters
    ----------
    t : float
        At most `LARGEST_FOR_SCIPY` in size, and `noncentrality` of that order.
    degrees_of_freedom, noncentrality : float
        Of T.
    """
    import numpy as np
    from scipy.stats import nct

    with np.errstate(divide="ignore", invalid="ignore"):  # SciPy 1.10 warns on its way to a right answer
        return float(nct.cdf(t, degrees_of_freedom, noncentrality))


def noncentrality_limits(t: float, degrees_of_freedom: float, confidence: float) -> tuple[float, float]:
    """The interval of noncentralities for an observed statistic `t`.

    Parameters
    ----------
    t : float
        The observed statistic, finite.
    degrees_of_freedom : float
        At least 1.
    confidence : float
        Between 0 and 1.

    Returns
    -------
    low, high : float
        So that `t` is the upper, or lower, (1 - confidence)/2 quantile of the distribution there.

    Notes
    -----
    Inversion of the distribution function: Steiger & Fouladi, "Noncentrality Interval Estimation", in "What If
    There Were No Significance Tests?" (1997); Kelley, Journal of Statistical Software 20 (2007), issue 8.
    """
    if t < 0.0:
        low, high = noncentrality_limits(-t, degrees_of_freedom, confidence)
        return -high, -low
    tail = (1.0 - confidence) / 2.0
    return (
        _noncentrality_at(t, degrees_of_freedom, 1.0 - tail),
        _noncentrality_at(t, degrees_of_freedom, tail),
    )


def _noncentrality_at(t: float, degrees_of_freedom: float, probability: float) -> float:
    """The noncentrality at which a value below `t` has this probability; it falls as the noncentrality grows."""
    from scipy.special import chdtri, ndtri

    if t > LARGEST_FOR_SCIPY:
        # T = (Z + d) / w with w² = chi2/df; for a large t the unit of Z vanishes beside d, and T <= t is w >= d/t.
        return t * math.sqrt(float(chdtri(degrees_of_freedom, probability)) / degrees_of_freedom)

    from scipy.optimize import brentq

    def excess(noncentrality: float) -> float:
        return probability_below(t, degrees_of_freedom, noncentrality) - probability

    # Both ends are known to hold the root, and keep clear of where SciPy gives NaN. Below: T <= 0 is Z <= -d, so
    # T <= t is at least as likely. Above: T <= t takes w > w0 or Z <= t w0 - d, each given half the probability.
    low = -float(ndtri(probability))
    w0 = math.sqrt(float(chdtri(degrees_of_freedom, probability / 2.0)) / degrees_of_freedom)
    high = t * w0 - float(ndtri(probability / 2.0))
    if excess(low) <= 0.0:  # t = 0: the end is the root, but for rounding
        return low
    return float(brentq(excess, low, high, xtol=1e-10, rtol=1e-12))
