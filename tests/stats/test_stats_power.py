"""How many seeds: power, widths, and the honesty of a plan from a small pilot."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from repro_hydra.stats import (
    mean_interval,
    power_of_t_test,
    seeds_for_difference,
    seeds_for_half_width,
    seeds_for_power,
)
from repro_hydra.stats.power import std_interval

PILOT = [0.912, 0.934, 0.921, 0.905, 0.940]


@pytest.mark.parametrize(
    ("effect", "paired", "n"),
    [
        (1.0, False, 17),
        (0.5, False, 64),
        (0.8, False, 26),
        (0.2, False, 394),
        (1.0, True, 10),
        (0.5, True, 34),
    ],
)
def test_seeds_for_eighty_percent_power(effect: float, paired: bool, n: int) -> None:
    """Cohen (1988), table 2.4.1 (0.2: exact value of G*Power, 394); paired as in G*Power."""
    assert seeds_for_power(effect, paired=paired) == n
    assert seeds_for_power(-effect, paired=paired) == n
    assert power_of_t_test(effect, n, paired=paired) >= 0.8 > power_of_t_test(effect, n - 1, paired=paired)


@pytest.mark.parametrize(
    ("effect", "n", "paired", "power"),
    [(0.5, 64, False, 0.8014596), (1.0, 20, False, 0.8689528), (0.5, 34, True, 0.8077775)],
)
def test_power_is_that_of_r(effect: float, n: int, paired: bool, power: float) -> None:
    """R's power.t.test; the second is the example of its help page (n = 20, delta = 1, sd = 1)."""
    assert power_of_t_test(effect, n, paired=paired) == pytest.approx(power, abs=6e-7)


@pytest.mark.parametrize("paired", [True, False])
def test_power_is_how_often_the_test_finds_the_effect(paired: bool) -> None:
    """In 20,000 simulated experiments the t-test finds the effect as often as predicted."""
    generator = np.random.default_rng(12)
    a = generator.normal(0.9, 1.0, size=(20_000, 8))
    if paired:
        p_values = stats.ttest_1samp(a, 0, axis=1).pvalue
    else:
        p_values = stats.ttest_ind(a, generator.normal(size=(20_000, 8)), axis=1).pvalue
    assert np.mean(p_values < 0.05) == pytest.approx(power_of_t_test(0.9, 8, paired=paired), abs=0.012)


def test_no_effect_is_found_as_often_as_allowed() -> None:
    """At an effect of 0 the power is 1 - confidence, and a huge effect is always found."""
    assert power_of_t_test(0.0, 5, paired=True) == pytest.approx(0.05, rel=1e-9)
    for effect in (100.0, 1e5, 1e9):
        assert power_of_t_test(effect, 5, paired=False) == pytest.approx(1.0, abs=1e-9)


def test_power_holds_where_scipy_gives_nan() -> None:
    """With one degree of freedom T is (Z + d)/|Z'|, so for a huge d the power is P(|Z'| < d / critical)."""
    critical = -float(stats.t.ppf(0.5e-5, 1))
    for ratio in (0.5, 1.0, 2.0):
        effect = ratio * critical / math.sqrt(2)
        expected = 2 * stats.norm.cdf(ratio) - 1
        assert power_of_t_test(effect, 2, paired=True, confidence=1 - 1e-5) == pytest.approx(
            expected, abs=1e-6
        )


def test_more_confidence_or_power_takes_more_seeds() -> None:
    """The number grows with what is asked for, and gives up above a million."""
    base = seeds_for_power(0.5, paired=True)
    more = seeds_for_power(0.5, paired=True, power=0.9)
    most = seeds_for_power(0.5, paired=True, power=0.9, confidence=0.99)
    assert base is not None
    assert more is not None
    assert most is not None
    assert base < more < most
    assert seeds_for_power(1e-4, paired=True) is None
    assert seeds_for_power(50.0, paired=True) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: seeds_for_power(0.0, paired=True), "effect_size: expected a positive number"),
        (lambda: seeds_for_power(1.0, paired=True, power=80), r"power: .* Write 0\.8"),
        (lambda: seeds_for_power(1.0, paired=True, confidence=95), r"confidence: .* Write 0\.95"),
        (lambda: power_of_t_test(1.0, 1, paired=True), "n: expected at least 2"),
        (lambda: power_of_t_test(math.nan, 5, paired=True), "effect_size: expected a finite number"),
        (lambda: seeds_for_half_width(PILOT, half_width=0.0), "half_width: expected a positive number"),
        (lambda: seeds_for_difference(PILOT, difference=0.0, paired=True), "difference: expected a positive"),
    ],
)
def test_impossible_questions_are_refused(call: object, message: str) -> None:
    """Each message names the option and what to write."""
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]


@pytest.mark.parametrize("half_width", [0.05, 0.01, 0.002])
def test_half_width_takes_the_smallest_n_that_reaches_it(half_width: float) -> None:
    """n is enough and n - 1 is not, for the pilot's spread and for both ends of its interval."""
    plan = seeds_for_half_width(PILOT, half_width=half_width)
    for n, std in ((plan.n, plan.pilot_std), (plan.n_low, plan.std_low), (plan.n_high, plan.std_high)):
        assert n is not None
        assert std is not None
        assert stats.t.ppf(0.975, n - 1) * std / math.sqrt(n) <= half_width
        assert n == 2 or stats.t.ppf(0.975, n - 2) * std / math.sqrt(n - 1) > half_width
    assert plan.n_low is not None
    assert plan.n is not None
    assert plan.n_high is not None
    assert plan.n_low <= plan.n <= plan.n_high


def test_pilot_that_is_enough_needs_no_more() -> None:
    """Where the pilot's own interval is narrow enough, no seed is missing."""
    interval = mean_interval(PILOT)
    assert interval.high is not None
    plan = seeds_for_half_width(PILOT, half_width=(interval.high - float(np.mean(PILOT))) * 1.0001)
    assert (plan.n, plan.n_more, plan.pilot_n) == (5, 0, 5)
    narrower = seeds_for_half_width(PILOT, half_width=(interval.high - float(np.mean(PILOT))) * 0.9999)
    assert (narrower.n, narrower.n_more) == (6, 1)


def test_difference_is_power_for_the_pilots_spread() -> None:
    """It is `seeds_for_power` of difference / std, and of both ends of the std's interval."""
    plan = seeds_for_difference(PILOT, difference=-0.01, paired=True, power=0.9, confidence=0.9)
    std = float(np.std(PILOT, ddof=1))
    assert plan.pilot_std == pytest.approx(std, rel=1e-12)
    low, high = std_interval(std, 5, 0.9)
    expected = [seeds_for_power(0.01 / s, paired=True, power=0.9, confidence=0.9) for s in (std, low, high)]
    assert [plan.n, plan.n_low, plan.n_high] == expected
    unpaired = seeds_for_difference(PILOT, difference=0.01, paired=False, power=0.9, confidence=0.9)
    assert unpaired.n is not None
    assert plan.n is not None
    assert unpaired.n > plan.n


def test_std_interval_covers() -> None:
    """On 20,000 normal samples of four the chi-square interval for the spread covers 95 %."""
    std = np.random.default_rng(14).normal(0, 3, size=(20_000, 4)).std(axis=1, ddof=1)
    low, high = std_interval(1.0, 4, 0.95)
    assert np.mean((std * low <= 3) & (std * high >= 3)) == pytest.approx(0.95, abs=0.006)


def test_std_interval_of_the_nist_handbook() -> None:
    """SciPy's chi-square quantiles by the textbook formula: (n - 1) s² over each."""
    expected = [0.00628 * math.sqrt(99 / stats.chi2.ppf(p, 99)) for p in (0.975, 0.025)]
    assert std_interval(0.00628, 100, 0.95) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("pilot", "note"),
    [
        ([], "no estimate: 0 seeds"),
        ([0.9], "no estimate: 1 seeds"),
        ([0.9, 0.9, 0.9], "no estimate: all 3 values are identical"),
        ([0.9, math.nan], "1 NaN among 2 values"),
        ([1.7e308, -1.7e308], "no estimate: the spread is too large"),
    ],
)
def test_pilot_without_spread_plans_nothing(pilot: list[float], note: str) -> None:
    """No number of seeds follows from a pilot that does not know its spread, and it says why."""
    for plan in (
        seeds_for_half_width(pilot, half_width=0.1),
        seeds_for_difference(pilot, difference=0.1, paired=True),
    ):
        assert (plan.n, plan.n_low, plan.n_high, plan.n_more, plan.pilot_std) == (None,) * 5
        assert plan.notes[0].startswith(note)


def test_a_million_seeds_are_too_many_to_name() -> None:
    """An absurd wish is answered in words."""
    plan = seeds_for_half_width(PILOT, half_width=1e-9)
    assert (plan.n, plan.n_more) == (None, None)
    assert plan.notes == ("more than 1000000 seeds where a number is missing",)


def test_a_pilot_of_three_admits_how_little_it_knows() -> None:
    """From three seeds the safe number is some hundred times the lucky one."""
    plan = seeds_for_half_width([1.0, 2.0, 3.0], half_width=0.25)
    assert plan.n_low is not None
    assert plan.n_high is not None
    assert plan.n_high > 50 * plan.n_low
