"""Trimmed and interquartile means, and the check for what is plainly not normal."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from repro_hydra.stats import interquartile_mean, interquartile_means, normality_check, trimmed_mean

samples = st.lists(st.integers(min_value=-1000, max_value=1000).map(float), min_size=1, max_size=25)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1, 100], 17.0 + 1 / 3),  # worked by hand: (0.25·0 + 1 + 0.25·100) / 1.5
        ([1, 3, 5, 7, 9, 11, 13, 15, 17], 9.0),  # Wikipedia, "Interquartile mean", example 2
        ([5, 8, 4, 38, 8, 6, 9, 7, 7, 3, 1, 6], 6.5),  # the same, example 1
        ([4.0], 4.0),
        ([1.0, 3.0], 2.0),
    ],
)
def test_interquartile_mean_of_published_examples(values: list[float], expected: float) -> None:
    """Fractional weights: three values are not simply averaged."""
    result = interquartile_mean(values)
    assert result.value == pytest.approx(expected, rel=1e-14)
    assert (result.n, result.proportion) == (len(values), 0.25)


@pytest.mark.parametrize(("n", "proportion"), [(10, 0.1), (20, 0.05), (12, 0.25), (15, 0.2), (8, 0.0)])
def test_whole_cuts_agree_with_scipy(n: int, proportion: float) -> None:
    """Where a whole number of values is cut, it is `scipy.stats.trim_mean`."""
    values = np.random.default_rng(n).lognormal(size=n)
    # SciPy takes int(proportion · n): the hair keeps 15 · 0.2 from becoming 2.
    assert trimmed_mean(values, proportion=proportion).value == pytest.approx(
        stats.trim_mean(values, proportion + 1e-9), rel=1e-12
    )


def test_a_wild_seed_moves_the_mean_and_not_the_interquartile_mean() -> None:
    """That is what it is for."""
    tame, wild = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 1e9]
    assert interquartile_mean(wild).value == interquartile_mean(tame).value == 4.5


@given(samples)
def test_array_form_agrees_with_the_scalar_one(values: list[float]) -> None:
    """The form for the bootstrap gives the same, row by row."""
    rows = np.asarray([values, values[::-1]])
    expected = interquartile_mean(values).value
    assert interquartile_means(rows) == pytest.approx([expected, expected], rel=1e-9, abs=1e-9)


@given(samples, st.integers(min_value=-50, max_value=50), st.integers(min_value=-5, max_value=5))
def test_scale_and_shift_equivariance(values: list[float], exponent: int, shift: int) -> None:
    """Another unit and another zero move the result along."""
    before = interquartile_mean(values).value
    assert before is not None
    moved = interquartile_mean([math.ldexp(value + shift, exponent) for value in values]).value
    assert moved == pytest.approx(
        math.ldexp(before + shift, exponent), rel=1e-9, abs=math.ldexp(1e-9, exponent)
    )


@given(st.floats(min_value=-1e300, max_value=1e300), st.integers(min_value=1, max_value=15))
def test_equal_values_give_that_value(value: float, n: int) -> None:
    """No rounding shows, and nothing overflows."""
    assert interquartile_mean([value] * n).value == value


def test_refusals_of_trimmed_means() -> None:
    """Nothing and NaN have no mean; a cut of half the sample at each end leaves nothing."""
    assert (interquartile_mean([]).value, interquartile_mean([]).notes) == (None, ("no values",))
    broken = trimmed_mean([1.0, math.inf], proportion=0.1)
    assert broken.value is None
    assert "1 infinite among 2" in broken.notes[0]
    for proportion in (0.5, -0.1, math.nan):
        with pytest.raises(ValueError, match=r"proportion: expected a number from 0 to below 0\.5"):
            trimmed_mean([1.0, 2.0], proportion=proportion)


def test_one_value_is_said_to_be_alone() -> None:
    """The mean of one value is that value, and it says so."""
    assert interquartile_mean([3.0]).notes == ("of one value it is that value",)


def test_shapiro_wilks_own_example() -> None:
    """Shapiro & Wilk (1965), weights of eleven men: W = 0.79, p below 0.01: plainly not normal."""
    weights = [148, 154, 158, 160, 161, 162, 166, 170, 182, 195, 236]
    check = normality_check(weights)
    assert check.statistic == pytest.approx(0.79, abs=0.005)
    assert check.p_value is not None
    assert check.p_value < 0.01
    assert check.plainly_not_normal is True
    assert check.notes == ("tested with 11 values, which shows only gross departures from the normal",)


def test_normal_quantiles_raise_no_alarm() -> None:
    """A sample as normal as can be is not called otherwise; 20 values need no excuse."""
    check = normality_check(stats.norm.ppf((np.arange(20) + 0.5) / 20))
    assert check.plainly_not_normal is False
    assert check.notes == ()


def test_alarm_is_rare_on_normal_data() -> None:
    """Of 1,000 normal samples of six about 1 % raise the alarm at the default confidence."""
    samples = np.random.default_rng(4).normal(size=(1000, 6))
    alarms = sum(bool(normality_check(row).plainly_not_normal) for row in samples)
    assert 2 <= alarms <= 20


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ([], "no values"),
        ([1.0, 2.0], "not tested: 2 values, and it takes at least 3"),
        ([1.0, 1.0, 1.0], "not tested: all 3 values are identical"),
        ([1.0, 2.0, math.nan], "1 NaN among 3 values"),
        (list(range(5001)), "not tested: 5001 values"),
    ],
)
def test_refusals_of_the_normality_check(values: list[float], note: str) -> None:
    """Too few, equal, broken or too many values are not tested, and it says why."""
    check = normality_check(values)
    assert (check.plainly_not_normal, check.statistic, check.p_value) == (None, None, None)
    assert check.notes[0].startswith(note)
