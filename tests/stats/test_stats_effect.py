"""Effect sizes: Hedges' g and the probability of improvement."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from repro_hydra.stats import hedges_g, probability_of_improvement
from repro_hydra.stats.effect import improvement_limits
from repro_hydra.stats.noncentral import noncentrality_limits

SLEEP_A = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_B = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
small_samples = st.lists(st.integers(min_value=-5, max_value=5).map(float), min_size=2, max_size=8)


def test_standardized_difference_of_students_sleep_data() -> None:
    """R's effectsize: d = -0.83 unpaired; -1.28 [-2.12, -0.41] paired, and g = -1.17."""
    unpaired, paired = hedges_g(SLEEP_A, SLEEP_B), hedges_g(SLEEP_A, SLEEP_B, paired=True)
    assert unpaired.uncorrected == pytest.approx(-0.83, abs=0.005)
    assert (paired.uncorrected, paired.low, paired.high) == pytest.approx((-1.28, -2.12, -0.41), abs=0.005)
    assert paired.value == pytest.approx(-1.17, abs=0.005)
    assert (paired.paired, paired.n_a, paired.n_b, paired.notes) == (True, 10, 10, ())


def test_interval_is_that_of_mbess() -> None:
    """R's MBESS: ci.smd(ncp = 1.599, n.1 = 18, n.2 = 14, conf.level = .99) is 0.569801 [-0.3716427, 1.502524]."""
    root = math.sqrt(18 * 14 / 32)
    low, high = noncentrality_limits(1.599, 30, 0.99)
    assert (low / root, 1.599 / root, high / root) == pytest.approx(
        (-0.3716427, 0.569801, 1.502524), abs=6e-7
    )
    # And through the public function: samples made to have that t.
    a, b = stats.norm.ppf((np.arange(18) + 0.5) / 18), stats.norm.ppf((np.arange(14) + 0.5) / 14)
    pooled = math.sqrt((17 * a.var(ddof=1) + 13 * b.var(ddof=1)) / 30)
    result = hedges_g(a + pooled * 1.599 / root, b, confidence=0.99)
    assert (result.low, result.uncorrected, result.high) == pytest.approx(
        (-0.3716427, 0.569801, 1.502524), abs=6e-7
    )


@pytest.mark.parametrize("paired", [False, True])
def test_interval_excludes_zero_just_when_the_t_test_does(paired: bool) -> None:
    """The effect's interval and the t-test of equal variances never disagree."""
    generator = np.random.default_rng(13)
    agree = []
    for shift in np.linspace(0, 3, 25):
        a, b = generator.normal(shift, 1, size=6), generator.normal(size=6)
        result = hedges_g(a, b, paired=paired)
        assert result.low is not None
        assert result.high is not None
        p_value = (stats.ttest_rel(a, b) if paired else stats.ttest_ind(a, b)).pvalue
        assert (result.low > 0 or result.high < 0) == (p_value < 0.05)
        agree.append(p_value < 0.05)
    assert 0 < sum(agree) < len(agree)  # both sides were met


def test_correction_removes_the_bias_and_the_interval_covers() -> None:
    """On 1,500 pairs of five: g is right on average where d is 10 % too large, and 95 % of the intervals cover."""
    generator = np.random.default_rng(31)
    a, b = generator.normal(1, 1, size=(1500, 5)), generator.normal(size=(1500, 5))
    results = [hedges_g(x, y) for x, y in zip(a, b, strict=True)]
    assert np.mean([r.value for r in results]) == pytest.approx(1.0, abs=0.05)  # type: ignore[misc]
    assert np.mean([r.uncorrected for r in results]) == pytest.approx(1.107, abs=0.05)  # type: ignore[misc]
    covered = np.mean([r.low <= 1.0 <= r.high for r in results])  # type: ignore[operator]
    assert covered == pytest.approx(0.95, abs=0.012)


def test_unit_and_order_do_not_matter() -> None:
    """In another unit, or with the runs in another order, the effect is the same; swapped it turns its sign."""
    result = hedges_g(SLEEP_A, SLEEP_B)
    assert hedges_g([64 * x for x in SLEEP_A], [64 * x for x in SLEEP_B]) == result
    assert hedges_g(SLEEP_A[::-1], SLEEP_B) == result
    swapped = hedges_g(SLEEP_B, SLEEP_A)
    assert (swapped.value, swapped.low, swapped.high) == pytest.approx(
        (-result.value, -result.high, -result.low)
    )  # type: ignore[operator]


@pytest.mark.parametrize(
    ("a", "b", "paired", "note"),
    [
        ([1.0], [1.0, 2.0], False, "A: 1 of the 2 values"),
        ([1.0, 2.0], [], False, "B: 0 of the 2 values"),
        ([1.0, math.nan], [1.0, 2.0], True, "A: 1 NaN among 2"),
        ([1.0, 1.0], [2.0, 2.0], False, "the spread is zero"),
        ([1.0, 2.0], [2.0, 3.0], True, "the spread is zero"),
        ([1.7e308, 1.0], [-1.7e308, 1.0], True, "a difference is too large"),
        ([1.7e308, 1.6e308], [-1.7e308, -1.6e308], False, "the difference, or its ratio"),
    ],
)
def test_effect_refusals(a: list[float], b: list[float], paired: bool, note: str) -> None:
    """Without spread there is no unit; too few or broken values have no effect size either."""
    result = hedges_g(a, b, paired=paired)
    assert (result.value, result.uncorrected, result.low, result.high) == (None,) * 4
    assert result.notes[0].startswith(note)


def test_two_pairs_have_no_corrected_value() -> None:
    """With one degree of freedom the expectation of d does not exist, so there is nothing to correct to."""
    result = hedges_g([1.0, 3.0], [0.0, 0.5], paired=True)
    assert result.value is None
    assert result.uncorrected == pytest.approx(
        stats.ttest_rel([1.0, 3.0], [0.0, 0.5]).statistic / math.sqrt(2)
    )
    assert result.notes == ("with two pairs there is no corrected value, only a raw one",)


@given(small_samples, small_samples)
def test_probability_counts_all_pairs(a: list[float], b: list[float]) -> None:
    """The share of pairs in which A is higher, ties for one half; within its limits; swapped, its complement."""
    result = probability_of_improvement(a, b)
    share = np.mean([1.0 if x > y else 0.5 if x == y else 0.0 for x, y in itertools.product(a, b)])
    assert result.value == pytest.approx(share, rel=1e-12)
    assert result.low is not None
    assert result.high is not None
    assert 0.0 <= result.low <= share + 1e-12
    assert share - 1e-12 <= result.high <= 1.0
    swapped = probability_of_improvement(b, a)
    assert (swapped.low, swapped.high) == pytest.approx((1 - result.high, 1 - result.low), abs=1e-9)


def test_probability_agrees_with_mann_whitney() -> None:
    """It is SciPy's U over n · m."""
    u = stats.mannwhitneyu(SLEEP_A, SLEEP_B).statistic
    assert probability_of_improvement(SLEEP_A, SLEEP_B).value == pytest.approx(u / 100, rel=1e-12)


@pytest.mark.parametrize(("value", "n_a", "n_b"), [(0.255, 10, 10), (0.9, 5, 20), (0.5, 3, 3), (0.97, 8, 4)])
def test_newcombes_limits_are_the_roots_of_his_quartic(value: float, n_a: int, n_b: int) -> None:
    """Method 5 as a polynomial in p, multiplied out by hand, solved by `numpy.roots`: the same two limits."""
    z, star, product = stats.norm.ppf(0.975), (n_a + n_b) / 2 - 1, n_a * n_b
    p, one = np.polynomial.Polynomial([0, 1]), np.polynomial.Polynomial([1])
    # n m (v - p)² (2 - p)(1 + p) = z² p (1 - p) ((2 - p)(1 + p) + star (1 - p)(1 + p) + star p (2 - p))
    left = product * (value * one - p) ** 2 * (2 * one - p) * (one + p)
    inner = (2 * one - p) * (one + p) + star * (one - p) * (one + p) + star * p * (2 * one - p)
    roots = (left - z**2 * p * (one - p) * inner).roots()
    inside = sorted(root.real for root in roots if abs(root.imag) < 1e-12 and 0 < root.real < 1)
    assert improvement_limits(value, n_a, n_b, 0.95) == pytest.approx(inside, rel=1e-9)


def test_separated_samples_are_not_certain() -> None:
    """All of A above all of B: the estimate is 1, and its interval still has a width that shrinks with n."""
    few = probability_of_improvement([3.0, 4.0, 5.0], [0.0, 1.0, 2.0])
    many = probability_of_improvement(range(20, 40), range(20))
    assert (few.value, few.high, many.value, many.high) == (1.0, 1.0, 1.0, 1.0)
    assert few.low is not None
    assert many.low is not None
    assert few.low < 0.6 < 0.8 < many.low < 1.0
    none = probability_of_improvement([0.0, 1.0, 2.0], [3.0, 4.0, 5.0])
    assert none.low == 0.0
    assert none.high == pytest.approx(1.0 - few.low, rel=1e-9)


@pytest.mark.parametrize("n", [5, 10])
@pytest.mark.parametrize("true", [0.5, 0.76])
def test_newcombes_interval_covers(n: int, true: float) -> None:
    """On 10,000 pairs of normal samples it covers about 95 %, at five values each too."""
    shift = math.sqrt(2) * float(stats.norm.ppf(true))
    generator = np.random.default_rng(n)
    a, b = generator.normal(shift, 1, size=(10_000, n)), generator.normal(size=(10_000, n))
    counts = np.sum(a[:, :, None] > b[:, None, :], axis=(1, 2))
    covered = np.zeros(n * n + 1, dtype=bool)
    for count in np.unique(counts):
        low, high = improvement_limits(float(count) / n**2, n, n, 0.95)
        covered[count] = low <= true <= high
    assert np.mean(covered[counts]) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(
    ("a", "b", "note"),
    [
        ([], [1.0, 2.0], "A: 0 of the 2 values"),
        ([1.0, 2.0], [1.0], "B: 1 of the 2"),
        ([1.0, 2.0], [1.0, math.nan], "B: 1 NaN"),
    ],
)
def test_improvement_refusals(a: list[float], b: list[float], note: str) -> None:
    """One seed cannot tell how often it would win."""
    result = probability_of_improvement(a, b)
    assert (result.value, result.low, result.high) == (None, None, None)
    assert result.notes[0].startswith(note)
