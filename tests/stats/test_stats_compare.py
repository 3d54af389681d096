"""The difference of two configurations: Student's and Welch's t, pairing by seed, Holm."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from repro_hydra.stats import compare_by_seed, holm, pair_by_seed, paired_t_test, welch_t_test

# Student (1908): additional hours of sleep of ten patients under two drugs; R's data set `sleep`.
SLEEP_A = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_B = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
p_value_lists = st.lists(st.floats(min_value=0, max_value=1), max_size=12)


def test_paired_t_on_students_sleep_data() -> None:
    """As R's t.test(paired = TRUE) prints it: t = -4.062128, p = 0.002832890, [-2.4598858, -0.7001142]."""
    result = paired_t_test(SLEEP_A, SLEEP_B)
    assert result.statistic == pytest.approx(-4.062128, abs=5e-7)
    assert result.p_value == pytest.approx(0.002832890, abs=5e-10)
    assert (result.ci_low, result.ci_high) == pytest.approx((-2.4598858, -0.7001142), abs=5e-8)
    assert (result.degrees_of_freedom, result.difference) == (9, pytest.approx(-1.58))
    assert (result.method, result.n_a, result.n_b, result.decided) == ("paired t", 10, 10, True)


def test_welch_t_on_students_sleep_data() -> None:
    """As R's t.test prints it: t = -1.860813, df = 17.77647, p = 0.0793941, [-3.3654832, 0.2054832]."""
    result = welch_t_test(SLEEP_A, SLEEP_B)
    assert result.statistic == pytest.approx(-1.860813, abs=5e-7)
    assert result.degrees_of_freedom == pytest.approx(17.77647, abs=5e-6)
    assert result.p_value == pytest.approx(0.0793941, abs=5e-8)
    assert (result.ci_low, result.ci_high) == pytest.approx((-3.3654832, 0.2054832), abs=5e-8)
    assert (result.method, result.decided) == ("Welch t", False)


@pytest.mark.parametrize("confidence", [0.5, 0.99])
def test_both_agree_with_scipy(confidence: float) -> None:
    """Unequal sizes and spreads too: statistic, p-value, degrees of freedom and interval are SciPy's."""
    generator = np.random.default_rng(8)
    a, b = generator.normal(1, 1, size=4), generator.normal(0, 5, size=9)
    parts = np.var(a, ddof=1) / 4, np.var(b, ddof=1) / 9
    satterthwaite = sum(parts) ** 2 / (parts[0] ** 2 / 3 + parts[1] ** 2 / 8)
    for result, expected, degrees_of_freedom in (
        (welch_t_test(a, b, confidence=confidence), stats.ttest_ind(a, b, equal_var=False), satterthwaite),
        (paired_t_test(a, b[:4], confidence=confidence), stats.ttest_rel(a, b[:4]), 3),
    ):
        error = result.difference / expected.statistic  # type: ignore[operator]
        low, high = stats.t.interval(confidence, result.degrees_of_freedom, result.difference, error)
        found = (result.statistic, result.p_value, result.degrees_of_freedom, result.ci_low, result.ci_high)
        assert found == pytest.approx(
            (expected.statistic, expected.pvalue, degrees_of_freedom, low, high), rel=1e-10
        )


@pytest.mark.parametrize("function", [paired_t_test, welch_t_test])
def test_swapping_the_two_turns_the_sign(function: object) -> None:
    """B against A is A against B with the other sign, and the same p-value."""
    forth, back = function(SLEEP_A, SLEEP_B), function(SLEEP_B, SLEEP_A)  # type: ignore[operator]
    assert (back.difference, back.ci_low, back.ci_high) == pytest.approx(
        (-forth.difference, -forth.ci_high, -forth.ci_low), rel=1e-14
    )
    assert back.p_value == pytest.approx(forth.p_value, rel=1e-14)


def test_welch_holds_its_level_where_the_pooled_test_does_not() -> None:
    """On 4,000 pairs of samples with unequal spread the interval covers 95 %; nothing is pooled."""
    generator = np.random.default_rng(21)
    a, b = generator.normal(0, 4, size=(4000, 5)), generator.normal(0, 1, size=(4000, 15))
    covered = 0
    for x, y in zip(a, b, strict=True):
        result = welch_t_test(x, y)
        assert result.p_value is not None
        covered += not result.decided
        assert result.decided == (result.p_value < 0.05)
    assert covered / 4000 == pytest.approx(0.95, abs=0.012)
    assert np.mean(stats.ttest_ind(a, b, axis=1).pvalue >= 0.05) < 0.85


@pytest.mark.parametrize("function", [paired_t_test, welch_t_test])
@pytest.mark.parametrize(
    ("a", "b", "note"),
    [
        ([], [], "A has 0 of the 2 values"),
        ([1.0], [2.0], "A has 1 of the 2 values"),
        ([1.0, math.nan], [2.0, 3.0], "A: 1 NaN among 2 values"),
        ([1.0, 3.0], [2.0, math.inf], "B: 1 infinite among 2 values"),
        ([1.7e308, 1.6e308], [-1.7e308, 1.0], "too large for a double"),
    ],
)
def test_refusals(function: object, a: list[float], b: list[float], note: str) -> None:
    """Too few, broken and unrepresentable values are not tested, and it says why."""
    result = function(a, b)  # type: ignore[operator]
    assert (result.ci_low, result.ci_high, result.statistic, result.p_value) == (None,) * 4
    assert result.decided is None
    assert note in result.notes[0]


def test_constant_differences_prove_nothing() -> None:
    """The same difference on each seed has no spread: a p-value of 0 would claim certainty, so there is none."""
    paired = paired_t_test([2.0, 3.0, 4.0], [1.0, 2.0, 3.0])
    assert (paired.difference, paired.p_value, paired.ci_low, paired.decided) == (1.0, None, None, None)
    assert paired.notes == ("all 3 differences are the same (1): no test and no interval",)
    welch = welch_t_test([2.0, 2.0], [1.0, 1.0])
    assert (welch.difference, welch.p_value, welch.decided) == (1.0, None, None)
    assert welch.notes == ("all values of A are the same, and all of B: no test and no interval",)


def test_differences_that_are_the_same_but_for_rounding_prove_nothing() -> None:
    """A shift of exactly one leaves differences some ulps apart, and those are no spread to test against."""
    b = [random.Random(seed).gauss(0.0, 0.1) for seed in range(5)]
    result = paired_t_test([value + 1.0 for value in b], b)
    assert len({value + 1.0 - value for value in b}) > 1
    assert (result.p_value, result.ci_low) == (None, None)
    assert "but for rounding" in result.notes[0]
    assert paired_t_test([value * 1.0001 for value in b], b).p_value is not None


def test_one_constant_side_is_still_tested() -> None:
    """Spread on one side is enough for Welch's test, which is then the one-sample test of that side."""
    result = welch_t_test([1.0, 2.0, 4.0], [0.5, 0.5, 0.5])
    expected = stats.ttest_1samp([1.0, 2.0, 4.0], 0.5)
    assert (result.statistic, result.p_value) == pytest.approx(
        (expected.statistic, expected.pvalue), rel=1e-12
    )


def test_unpaired_lengths_are_refused() -> None:
    """What is not one to one is not paired."""
    with pytest.raises(ValueError, match="a and b: expected as many values of each, found 2 and 3"):
        paired_t_test([1, 2], [1, 2, 3])


def test_pairs_are_found_by_seed_not_by_position() -> None:
    """Seeds in any order are put side by side; those without a partner are named."""
    pairs = pair_by_seed({3: 0.3, 1: 0.1, 7: 0.7}, {1: 1.1, 3: 1.3, 9: 1.9})
    assert (pairs.seeds, pairs.a, pairs.b) == ((3, 1), (0.3, 0.1), (1.3, 1.1))
    assert (pairs.only_a, pairs.only_b) == ((7,), (9,))


def test_shared_seeds_are_compared_in_pairs() -> None:
    """With all seeds shared the comparison is the paired one, whatever their order."""
    a = dict(enumerate(SLEEP_A))
    b = dict(reversed(list(enumerate(SLEEP_B))))
    assert compare_by_seed(a, b) == paired_t_test(SLEEP_A, SLEEP_B)


def test_seeds_without_partner_are_left_out_and_named() -> None:
    """Most seeds shared: paired over these, and the others are named."""
    a, b = dict(enumerate(SLEEP_A)), dict(enumerate(SLEEP_B))
    del a[4]
    b[77] = 1.0
    result = compare_by_seed(a, b)
    assert (result.method, result.n_a) == ("paired t", 9)
    assert result.notes == ("seed 4, 77 of B has no partner and is left out",)


@pytest.mark.parametrize(
    ("seeds_b", "shared"), [(range(10, 20), 0), (range(9, 19), 1), (range(7, 17), 3), (range(6, 16), 4)]
)
def test_too_few_shared_seeds_are_not_paired(seeds_b: range, shared: int) -> None:
    """With less than half of the seeds shared it is Welch's test over all of them, and it says so."""
    a, b = dict(enumerate(SLEEP_A)), dict(zip(seeds_b, SLEEP_B, strict=True))
    result = compare_by_seed(a, b)
    assert (result.method, result.n_a, result.n_b) == ("Welch t", 10, 10)
    assert result.notes == (f"not paired: {shared} seeds shared, of 10 and 10",)


def test_holm_by_hand() -> None:
    """{.01, .04, .03, .005} becomes {.03, .06, .06, .02}: R's p.adjust(method = "holm")."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02), rel=1e-14)
    assert holm([]) == ()
    assert holm([0.7, 0.9]) == (1.0, 1.0)


@given(p_value_lists)
def test_holm_lies_between_nothing_and_bonferroni(p_values: list[float]) -> None:
    """Never below the p-value itself, never above Bonferroni's, and in the same order."""
    adjusted = holm(p_values)
    for p_value, result in zip(p_values, adjusted, strict=True):
        assert p_value <= result <= min(1.0, p_value * len(p_values))
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert [adjusted[i] for i in order] == sorted(adjusted)


def test_holm_controls_false_findings() -> None:
    """Of 5,000 families of ten true null hypotheses 5 % have any finding; uncorrected it would be 40 %."""
    families = np.random.default_rng(2).uniform(size=(5000, 10))
    found = np.mean([min(holm(row)) <= 0.05 for row in families.tolist()])
    assert found == pytest.approx(0.05, abs=0.01)
    assert np.mean(families.min(axis=1) <= 0.05) > 0.35


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan])
def test_holm_refuses_what_is_no_p_value(bad: float) -> None:
    """An undefined p-value cannot be corrected, nor silently dropped: it counts in the family."""
    with pytest.raises(ValueError, match=r"p_values\[1\]: expected a number from 0 to 1"):
        holm([0.5, bad])
