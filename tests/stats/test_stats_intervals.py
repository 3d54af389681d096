"""Intervals for the mean, for one more value, for most of all values: numbers, coverage and refusals."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from repro_hydra.stats import (
    Interval,
    mean_interval,
    prediction_interval,
    tolerance_factor,
    tolerance_interval,
)
from repro_hydra.stats.sample import mean_and_std, t_quantile

ALL = pytest.mark.parametrize("function", [mean_interval, prediction_interval, tolerance_interval])
VALUES = [0.912, 0.934, 0.921, 0.905, 0.940]


def test_mean_interval_is_scipys() -> None:
    """The t-interval is that of `scipy.stats.ttest_1samp`."""
    expected = stats.ttest_1samp(VALUES, 0).confidence_interval(0.99)
    interval = mean_interval(VALUES, confidence=0.99)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert (interval.n, interval.confidence, interval.method, interval.notes) == (5, 0.99, "Student t", ())


def test_mean_interval_of_students_sleep_data() -> None:
    """Student (1908), the additional hours of sleep as differences: [0.7001142, 2.4598858], as R prints it."""
    differences = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    interval = mean_interval(differences)
    assert (interval.low, interval.high) == pytest.approx((0.7001142, 2.4598858), abs=5e-8)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_t_interval_covers_as_often_as_it_says(n: int) -> None:
    """On 20,000 normal samples the 95 % interval covers 95 %, where mean ± 1.96 std (divisor n) covers far less."""
    samples = np.random.default_rng(20260401 + n).normal(3.0, 2.0, size=(20_000, n))
    means = samples.mean(axis=1)
    half = t_quantile(n - 1, 0.95) * samples.std(axis=1, ddof=1) / math.sqrt(n)
    assert np.mean(np.abs(means - 3.0) <= half) == pytest.approx(0.95, abs=0.006)
    naive = np.mean(np.abs(means - 3.0) <= 1.96 * samples.std(axis=1) / math.sqrt(n))
    assert naive == pytest.approx({3: 0.755, 5: 0.847, 10: 0.906}[n], abs=0.01)  # what the t-interval mends
    for row in samples[:50]:  # the array above is the function's own arithmetic
        interval = mean_interval(row)
        mean, std = mean_and_std(row.tolist())
        expected = t_quantile(n - 1, 0.95) * std / math.sqrt(n)
        assert (interval.low, interval.high) == pytest.approx((mean - expected, mean + expected), rel=1e-12)


@pytest.mark.parametrize("n", [5, 10])
def test_prediction_interval_holds_the_next_value_as_often_as_it_says(n: int) -> None:
    """On 10,000 normal samples one more value lies inside in 95 % of them."""
    samples = np.random.default_rng(7 + n).normal(size=(10_000, n + 1))
    inside = []
    for row in samples:
        interval = prediction_interval(row[:n])
        assert interval.low is not None
        assert interval.high is not None
        inside.append(interval.low <= row[n] <= interval.high)
    assert np.mean(inside) == pytest.approx(0.95, abs=0.008)


def test_prediction_interval_by_its_formula() -> None:
    """mean ± t · std · sqrt(1 + 1/n), with SciPy's t and NumPy's std."""
    half = stats.t.ppf(0.975, 4) * np.std(VALUES, ddof=1) * math.sqrt(1.2)
    interval = prediction_interval(VALUES)
    assert (interval.low, interval.high) == pytest.approx(
        (np.mean(VALUES) - half, np.mean(VALUES) + half), rel=1e-12
    )


def test_prediction_needs_five_seeds() -> None:
    """Four seeds are refused, five are not."""
    refused = prediction_interval(VALUES[:4])
    assert not refused.defined
    assert refused.notes == ("no interval: 4 values, and it takes at least 5",)
    assert prediction_interval(VALUES).defined


@pytest.mark.parametrize(
    ("n", "coverage", "confidence", "factor"),
    [
        (2, 0.95, 0.95, 36.519),
        (3, 0.95, 0.95, 9.789),
        (4, 0.95, 0.95, 6.341),
        (5, 0.95, 0.95, 5.0769),
        (10, 0.95, 0.95, 3.3934),
        (20, 0.95, 0.95, 2.7603),
        (4, 0.90, 0.95, 5.37),
        (10, 0.99, 0.95, 4.44),
        (60, 0.95, 0.95, 2.34),
    ],
)
def test_tolerance_factors_are_those_of_the_tables(
    n: int, coverage: float, confidence: float, factor: float
) -> None:
    """ISO 16269-6 (four places), and "Statistics for Environmental Engineers", table 21.1 (two places)."""
    decimals = len(str(factor).partition(".")[2])
    found = tolerance_factor(n, coverage=coverage, confidence=confidence)
    # The tables are rounded up or to nearest, so one unit in the last place; the book's come from an approximation.
    assert found == pytest.approx(factor, abs=1.01 * 10.0**-decimals)


def test_tolerance_interval_holds_its_share_as_often_as_it_says() -> None:
    """On 10,000 normal samples of five, at least 95 % of the distribution lies inside in 95 % of them."""
    samples = np.random.default_rng(11).normal(size=(10_000, 5))
    half = tolerance_factor(5) * samples.std(axis=1, ddof=1)
    means = samples.mean(axis=1)
    held = stats.norm.cdf(means + half) - stats.norm.cdf(means - half)
    assert np.mean(held >= 0.95) == pytest.approx(0.95, abs=0.007)
    interval = tolerance_interval(samples[0])
    assert (interval.low, interval.high) == pytest.approx((means[0] - half[0], means[0] + half[0]), rel=1e-12)


def test_tolerance_factor_of_many_values_approaches_the_normal_quantile() -> None:
    """With a million values nearly nothing but the normal quantile is left."""
    assert tolerance_factor(1_000_000) == pytest.approx(1.959964, rel=2e-3)


@ALL
def test_one_seed_has_no_interval(function: Callable[..., Interval]) -> None:
    """Never an interval of zero width for n = 1."""
    interval = function([0.9])
    assert (interval.low, interval.high, interval.defined) == (None, None, False)
    assert interval.notes == ("no interval: one seed tells nothing about spread",)


@ALL
def test_nothing_and_nan_have_no_interval(function: Callable[..., Interval]) -> None:
    """An empty sample and one with a NaN are refused, each with its reason."""
    assert function([]).notes == ("no values",)
    broken = function([*VALUES, math.nan])
    assert not broken.defined
    assert "1 NaN among 6 values" in broken.notes[0]


@ALL
def test_identical_values_are_questioned(function: Callable[..., Interval]) -> None:
    """Equal values have an interval without width, and the question that goes with it."""
    interval = function([0.9] * 6)
    assert (interval.low, interval.high) == (0.9, 0.9)
    assert "identical" in interval.notes[0]


@ALL
def test_limits_beyond_the_doubles_are_refused(function: Callable[..., Interval]) -> None:
    """No interval is infinite."""
    assert function([1.7e308, -1.7e308] * 3).notes == ("no interval: its limits are too large for a double",)


@ALL
def test_confidence_is_a_fraction(function: Callable[..., Interval]) -> None:
    """A percentage is refused."""
    with pytest.raises(ValueError, match=r"Write 0\.95"):
        function(VALUES, confidence=95)


def test_more_confidence_and_more_ambition_widen() -> None:
    """For the same values: mean < one more value < most of all values, and 90 % < 99 %."""
    widths = []
    for interval in (
        mean_interval(VALUES, confidence=0.9),
        mean_interval(VALUES, confidence=0.99),
        prediction_interval(VALUES, confidence=0.99),
        tolerance_interval(VALUES, confidence=0.99),
    ):
        assert interval.low is not None
        assert interval.high is not None
        widths.append(interval.high - interval.low)
    assert widths == sorted(set(widths))


@pytest.mark.parametrize("arguments", [{"coverage": 1.0}, {"confidence": 0.0}])
def test_tolerance_options_out_of_range(arguments: dict[str, float]) -> None:
    """A share of 1 has no finite interval."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        tolerance_factor(5, **arguments)


def test_tolerance_factor_needs_two() -> None:
    """One value has no factor."""
    with pytest.raises(ValueError, match="n: expected at least 2, found 1"):
        tolerance_factor(1)
