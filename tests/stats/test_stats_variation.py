"""The coefficient of variation and its three intervals, and the noncentral t distribution under one of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special
from scipy import stats as scipy_stats

from repro_hydra.stats import (
    CoefficientOfVariation,
    coefficient_of_variation,
    coefficient_of_variation_interval,
)
from repro_hydra.stats.noncentral import LARGEST_FOR_SCIPY, noncentrality_limits
from repro_hydra.stats.variation import mckay_limits, variation_interval

# The example of the R package cvcqv. Its "vangel" is left out: it has u + 1 where the method has u + 2.
CVCQV = [0.2, 0.5, 1.1, 1.4, 1.8, 2.3, 2.5, 2.7, 3.5, 4.4, 4.6, 5.4, 5.4, 5.7, 5.8, 5.9, 6.0, 6.6, 7.1, 7.9]
VANGEL = [326, 302, 307, 299, 329]


def test_coefficient_is_scipys_and_its_correction_sokal_and_rohlfs() -> None:
    """std/|mean| as `scipy.stats.variation(ddof=1)`; corrected, times 1 + 1/(4n) (Sokal & Rohlf 1995, p. 58)."""
    estimate = coefficient_of_variation(CVCQV)
    assert estimate.value == pytest.approx(scipy_stats.variation(CVCQV, ddof=1), rel=1e-14)
    assert estimate.corrected == pytest.approx(scipy_stats.variation(CVCQV, ddof=1) * 1.0125, rel=1e-14)
    assert estimate.n == 20


def test_correction_removes_most_of_the_bias() -> None:
    """On 100,000 normal samples of five the corrected coefficient is far closer to the true one on average."""
    samples = np.random.default_rng(5).normal(1.0, 0.1, size=(100_000, 5))
    plain = float(np.mean(samples.std(axis=1, ddof=1) / samples.mean(axis=1)))
    estimate = coefficient_of_variation(samples[0])
    assert estimate.value is not None
    assert estimate.corrected is not None
    factor = estimate.corrected / estimate.value
    assert abs(plain - 0.1) > 0.005
    assert abs(plain * factor - 0.1) < 0.002


@pytest.mark.parametrize(
    ("values", "method", "percent"),
    [
        (CVCQV, "mckay", (41.441, 108.482)),
        (CVCQV, "noncentral_t", (41.286, 97.893)),
        (VANGEL, "vangel", (2.67004, 12.86673)),
    ],
)
def test_intervals_are_those_published(
    values: list[float], method: str, percent: tuple[float, float]
) -> None:
    """R's cvcqv prints the first two; the third goes with Vangel's own example in K. Wright's R code."""
    interval = coefficient_of_variation_interval(values, method=method)  # type: ignore[arg-type]
    assert interval.low is not None
    assert interval.high is not None
    decimals = len(str(percent[0]).partition(".")[2])
    assert (interval.low * 100, interval.high * 100) == pytest.approx(percent, abs=0.51 * 10.0**-decimals)


@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("true", [0.05, 0.1])
def test_vangels_interval_covers_as_often_as_it_says(n: int, true: float) -> None:
    """On 20,000 normal samples the 95 % interval covers 95 %; one without an upper limit counts as a miss."""
    samples = np.random.default_rng(1000 * n + int(100 * true)).normal(1.0, true, size=(20_000, n))
    ratios = samples.std(axis=1, ddof=1) / samples.mean(axis=1)
    low, high = mckay_limits(ratios, n, 0.95, modified=True)
    covered = (low <= true) & (true <= high) & np.isfinite(high)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.006)
    for row in range(20):  # the public function gives the same limits
        interval = coefficient_of_variation_interval(samples[row])
        assert (interval.low, interval.high) == pytest.approx((low[row], high[row]), rel=1e-12)


def test_vangel_comes_closer_to_the_exact_interval_than_mckay() -> None:
    """What the modification is for: at n = 3 Vangel's upper limit is nearer to the exact one."""
    values = [0.90, 0.99, 1.05]
    exact, vangel, mckay = (
        coefficient_of_variation_interval(values, method=method).high
        for method in ("noncentral_t", "vangel", "mckay")
    )
    assert exact is not None
    assert vangel is not None
    assert mckay is not None
    assert abs(vangel - exact) < abs(mckay - exact) / 5


def test_exact_interval_inverts_the_distribution() -> None:
    """At its limits the observed sqrt(n)/coefficient is the 2.5 % and the 97.5 % point of the noncentral t."""
    interval = coefficient_of_variation_interval(VANGEL, method="noncentral_t")
    ratio = coefficient_of_variation(VANGEL).value
    assert ratio is not None
    assert interval.low is not None
    assert interval.high is not None
    root = math.sqrt(5)
    assert scipy_stats.nct.cdf(root / ratio, 4, root / interval.high) == pytest.approx(0.975, abs=1e-8)
    assert scipy_stats.nct.cdf(root / ratio, 4, root / interval.low) == pytest.approx(0.025, abs=1e-8)


def test_a_zero_among_positive_values_is_no_other_sign() -> None:
    """One run at zero leaves a coefficient, as long as the mean is told apart from zero."""
    assert coefficient_of_variation([0.0, 1.0, 1.0, 1.0, 1.0]).value == pytest.approx(
        math.sqrt(0.2) / 0.8, rel=1e-14
    )


@pytest.mark.parametrize("method", ["vangel", "mckay", "noncentral_t"])
def test_interval_is_undefined_where_the_coefficient_is(method: str) -> None:
    """No coefficient, no interval, the same reason."""
    for values in ([0.9], [], [-1.0, 1.0], [1.0, math.nan], [0.0, 0.0], [0.0, 1.0]):
        interval = coefficient_of_variation_interval(values, method=method)  # type: ignore[arg-type]
        assert (interval.low, interval.high) == (None, None)
        assert interval.notes == coefficient_of_variation(values).notes
        assert interval.notes[0].startswith("no coefficient of variation: ")


def test_approximations_are_flagged_above_a_third_and_the_exact_one_is_not() -> None:
    """McKay's and Vangel's intervals warn where their assumption fails."""
    for method, flagged in (("vangel", True), ("mckay", True), ("noncentral_t", False)):
        interval = coefficient_of_variation_interval(CVCQV, method=method)  # type: ignore[arg-type]
        assert any("above 1/3" in note for note in interval.notes) is flagged
        assert coefficient_of_variation_interval(VANGEL, method=method).notes == ()  # type: ignore[arg-type]


def test_exact_interval_is_refused_when_the_t_interval_holds_zero() -> None:
    """Its upper limit is unbounded exactly where the t-interval of the mean contains zero."""
    inside, outside = (
        [0.30, 1.0, 1.7],
        [0.45, 1.0, 1.55],
    )  # coefficients 0.7 and 0.55 beside sqrt(3)/4.303 = 0.4025
    for values in (inside, outside):
        assert not coefficient_of_variation_interval(values, method="noncentral_t").defined
    bounded = [0.61, 1.0, 1.39]  # 0.39
    assert coefficient_of_variation_interval(bounded, method="noncentral_t").defined


def test_identical_values_have_a_coefficient_of_zero_and_a_question() -> None:
    """No spread: coefficient and interval are 0, and the note asks for the seed."""
    interval = coefficient_of_variation_interval([0.9] * 4)
    assert (interval.low, interval.high) == (0.0, 0.0)
    assert "identical" in interval.notes[0]


def test_interval_from_a_published_coefficient() -> None:
    """A coefficient read off a paper will do; 1/3 is not flagged, more is."""
    assert variation_interval(CoefficientOfVariation(value=1 / 3, corrected=None, n=20)).notes == ()
    assert variation_interval(CoefficientOfVariation(value=0.34, corrected=None, n=20)).notes != ()


def test_unknown_method_is_refused_with_the_known_ones() -> None:
    """A mistyped method is told its alternatives."""
    with pytest.raises(
        ValueError, match="method: expected one of vangel, mckay, noncentral_t, found 'miller'"
    ):
        coefficient_of_variation_interval(VANGEL, method="miller")  # type: ignore[arg-type]


@given(
    st.lists(st.integers(min_value=800, max_value=1200), min_size=2, max_size=10).filter(
        lambda x: len(set(x)) > 1
    ),
    st.integers(min_value=-200, max_value=200),
)
def test_coefficient_has_no_unit(counts: list[int], exponent: int) -> None:
    """The same data in another unit have the same coefficient and interval, bit by bit."""
    scaled = [math.ldexp(count, exponent) for count in counts]
    assert coefficient_of_variation(scaled) == coefficient_of_variation(counts)
    assert coefficient_of_variation_interval(scaled) == coefficient_of_variation_interval(counts)


def test_noncentrality_limits_are_those_of_mbess() -> None:
    """R's MBESS prints conf.limits.nct(1.5993420, 30, .99) as [-1.042603, 4.21681]."""
    assert noncentrality_limits(1.5993420, 30, 0.99) == pytest.approx((-1.042603, 4.21681), abs=5e-6)


def test_noncentrality_limits_are_symmetric() -> None:
    """The other sign of t turns the interval round; t = 0 gives the normal quantiles."""
    low, high = noncentrality_limits(2.5, 7, 0.95)
    assert noncentrality_limits(-2.5, 7, 0.95) == (-high, -low)
    assert noncentrality_limits(0.0, 7, 0.95) == pytest.approx((-1.959964, 1.959964), abs=1e-6)


@pytest.mark.parametrize("t", [0.9 * LARGEST_FOR_SCIPY, 1.1 * LARGEST_FOR_SCIPY, 1e9])
@pytest.mark.parametrize("degrees_of_freedom", [1, 4, 29])
def test_noncentrality_limits_hold_where_scipy_gives_nan(t: float, degrees_of_freedom: int) -> None:
    """Below and above the switch to the limiting form, integration over chi confirms both tails."""

    def below(noncentrality: float) -> float:
        # P(T <= t) = E[Phi(t w - d)], w = chi / sqrt(df): one smooth step at w = d/t, integrated on both its sides.
        root = math.sqrt(degrees_of_freedom)
        step, width = noncentrality / t * root, 10.0 * root / t

        def density(chi: float) -> float:
            return float(
                special.ndtr(t * chi / root - noncentrality) * scipy_stats.chi.pdf(chi, degrees_of_freedom)
            )

        middle = integrate.quad(density, max(step - width, 0.0), step + width, epsabs=1e-13)[0]
        return float(middle + scipy_stats.chi.sf(step + width, degrees_of_freedom))

    low, high = noncentrality_limits(t, degrees_of_freedom, 0.95)
    assert below(low) == pytest.approx(0.975, abs=1e-6)
    assert below(high) == pytest.approx(0.025, abs=1e-6)
