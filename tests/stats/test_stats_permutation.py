"""Sign-flip and Wilcoxon: exact, with ties and zeros, and frank about what few seeds can show."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from repro_hydra.stats import PairedTest, sign_flip_test, wilcoxon_test

BOTH = pytest.mark.parametrize("function", [sign_flip_test, wilcoxon_test])
# Whole numbers, so that ties are ties and sums exact.
differences = st.lists(st.integers(min_value=-6, max_value=6).map(float), min_size=1, max_size=9)
SLEEP_A = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_B = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
# Darwin (1876), crossed against self-fertilized Zea mays, height differences in eighths of an inch.
DARWIN = [49.0, -67.0, 8.0, 16.0, 6.0, 23.0, 28.0, 41.0, 14.0, 29.0, 56.0, 24.0, 75.0, 60.0, -48.0]


def zeros(values: list[float]) -> list[float]:
    """As many zeros, so that `values` are the differences."""
    return [0.0] * len(values)


def brute_force(values: list[float]) -> float:
    """The share of all sign patterns with a sum at least as far from zero, by enumeration."""
    observed = abs(sum(values))
    sums = [
        abs(sum(s * v for s, v in zip(signs, values, strict=True)))
        for signs in itertools.product((-1, 1), repeat=len(values))
    ]
    return sum(total >= observed for total in sums) / len(sums)


def test_fishers_analysis_of_darwins_maize() -> None:
    """Fisher, "The Design of Experiments" (1935), section 21: 863 of 32,768 sums on one side, so twice that.

    Fisher counts 835 beyond and 28 equal to the observed total of 314.
    """
    result = sign_flip_test(DARWIN, zeros(DARWIN))
    assert result.statistic == 314
    assert result.p_value == 2 * 863 / 2**15
    assert result.exact


@given(differences)
def test_sign_flip_counts_all_patterns(values: list[float]) -> None:
    """With ties and zeros too, the p-value is that of full enumeration."""
    assert sign_flip_test(values, zeros(values)).p_value == pytest.approx(brute_force(values), rel=1e-12)


@given(differences)
def test_wilcoxon_counts_all_patterns_of_its_ranks(values: list[float]) -> None:
    """With ties and zeros too, it is the enumeration over the signed mid-ranks of what is not zero."""
    moving = [value for value in values if value]
    signed = (np.sign(moving) * stats.rankdata(np.abs(moving))).tolist() if moving else []
    result = wilcoxon_test(values, zeros(values))
    assert result.p_value == pytest.approx(brute_force(signed) if signed else 1.0, rel=1e-12)
    assert result.statistic == sum(rank for rank in signed if rank > 0)


@pytest.mark.parametrize("n", [5, 12, 25, 40])
def test_wilcoxon_agrees_with_scipys_exact_test(n: int) -> None:
    """Without ties and zeros it is `scipy.stats.wilcoxon(method="exact")`."""
    generator = np.random.default_rng(n)
    a, b = generator.normal(0.3, 1, size=n), generator.normal(size=n)
    expected = stats.wilcoxon(a, b, method="exact")
    result = wilcoxon_test(a, b)
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert result.statistic is not None
    assert min(result.statistic, n * (n + 1) / 2 - result.statistic) == expected.statistic


@pytest.mark.parametrize("n", [4, 8, 12])
def test_sign_flip_agrees_with_scipys_permutation_test(n: int) -> None:
    """It is `scipy.stats.permutation_test` for samples, with all permutations."""
    generator = np.random.default_rng(n)
    a, b = generator.normal(0.5, 1, size=n), generator.normal(size=n)
    expected = stats.permutation_test(
        (a, b), lambda x, y: np.sum(x - y), permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_test(a, b).p_value == pytest.approx(expected.pvalue, rel=1e-9)


@BOTH
def test_five_seeds_cannot_reach_five_percent(function: object) -> None:
    """Even when all five differences agree p is 2/2^5, and the result says that it could not be smaller."""
    result: PairedTest = function([1.0, 2.0, 3.0, 4.0, 5.0], zeros([0.0] * 5))  # type: ignore[operator]
    assert result.p_value == result.smallest_p == 2 / 2**5
    assert result.notes == ("5 pairs that differ cannot reach p <= 0.05: the smallest possible is 0.0625",)
    six: PairedTest = function([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [0.0] * 6)  # type: ignore[operator]
    assert six.p_value == six.smallest_p == 2 / 2**6
    assert six.notes == ()
    strict: PairedTest = function([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [0.0] * 6, confidence=0.99)  # type: ignore[operator]
    assert strict.notes == ("6 pairs that differ cannot reach p <= 0.01: the smallest possible is 0.03125",)


@BOTH
def test_equal_pairs_decide_nothing(function: object) -> None:
    """A pair without a difference is counted, named, and makes the smallest p larger."""
    result: PairedTest = function(SLEEP_A, SLEEP_B)  # type: ignore[operator]
    assert (result.n, result.n_zero, result.smallest_p, result.p_value) == (10, 1, 2 / 2**9, 2 / 2**9)
    assert result.notes == ("1 of 10 pairs are equal and decide nothing",)


@BOTH
def test_identical_configurations_have_p_of_one(function: object) -> None:
    """No difference on any seed: p is 1, and nothing smaller was possible."""
    result: PairedTest = function([0.9, 0.8], [0.9, 0.8])  # type: ignore[operator]
    assert (result.p_value, result.smallest_p, result.n_zero) == (1.0, 1.0, 2)
    assert len(result.notes) == 2


@BOTH
@given(values=differences, exponent=st.integers(min_value=-500, max_value=500))
@settings(max_examples=50)
def test_unit_and_sign_do_not_matter(function: object, values: list[float], exponent: int) -> None:
    """Another unit, or B against A, gives the same p-value."""
    p_value = function(values, zeros(values)).p_value  # type: ignore[operator]
    scaled = [math.ldexp(value, exponent) for value in values]
    assert function(scaled, zeros(values)).p_value == p_value  # type: ignore[operator]
    assert function(zeros(values), values).p_value == p_value  # type: ignore[operator]


def test_a_wild_seed_moves_the_sum_and_not_the_rank() -> None:
    """An outlier in size changes nothing for Wilcoxon's test."""
    tame = [1.0, 2.0, 3.0, 4.0, 5.0, -6.0]
    wild = [1.0, 2.0, 3.0, 4.0, 5.0, -600.0]
    assert wilcoxon_test(wild, zeros(wild)).p_value == wilcoxon_test(tame, zeros(tame)).p_value
    assert sign_flip_test(wild, zeros(wild)).p_value != sign_flip_test(tame, zeros(tame)).p_value


def test_many_pairs_are_drawn_with_a_generator_of_their_own() -> None:
    """Above 20 pairs signs are drawn: near the exact value, never 0, the same for the same seed."""
    values = np.random.default_rng(6).normal(0.35, 1, size=24)
    result = sign_flip_test(values, np.zeros(24))
    assert not result.exact
    assert result.p_value == pytest.approx(float(stats.ttest_1samp(values, 0).pvalue), rel=0.25)
    assert sign_flip_test(values, np.zeros(24)) == result
    assert sign_flip_test(values, np.zeros(24), seed=1).p_value != result.p_value
    assert sign_flip_test(np.abs(values) + 5, np.zeros(24)).p_value == result.smallest_p == 1 / 100_001


def test_drawn_signs_do_not_depend_on_the_unit() -> None:
    """With values whose squares overflow, or vanish, the same signs are drawn and the same p-value comes out."""
    values = np.random.default_rng(6).normal(0.35, 1, size=24)
    p_value = sign_flip_test(values, np.zeros(24)).p_value
    for exponent in (-1000, 1000):
        assert sign_flip_test(np.ldexp(values, exponent), np.zeros(24)).p_value == p_value


@BOTH
def test_both_hold_their_level(function: object) -> None:
    """Of 3,000 samples without a difference, in a skew-free but wild distribution, at most 5 % are found different."""
    samples = np.random.default_rng(17).standard_cauchy(size=(3000, 7))
    found = np.mean([function(row, np.zeros(7)).p_value <= 0.05 for row in samples])  # type: ignore[operator]
    assert 0.03 <= found <= 0.055  # the p-value is discrete: the level is 0.047


@BOTH
@pytest.mark.parametrize(
    ("a", "b", "note"),
    [
        ([], [], "no pairs"),
        ([1.0, math.nan], [1.0, 2.0], "A: 1 NaN among 2"),
        ([1.0, 2.0], [math.inf, 2.0], "B: 1 infinite among 2"),
        ([1.7e308, 1.0], [-1.7e308, 1.0], "the differences: 1 infinite among 2"),
        ([1.7e308, 1.7e308], [1.0, 1.0], "the differences are too large for a double"),
    ],
)
def test_refusals(function: object, a: list[float], b: list[float], note: str) -> None:
    """Nothing, broken and unrepresentable pairs are not tested, and it says why."""
    result: PairedTest = function(a, b)  # type: ignore[operator]
    assert (result.statistic, result.p_value, result.smallest_p) == (None, None, None)
    assert result.notes[0].startswith(note)


@BOTH
def test_lengths_must_match(function: object) -> None:
    """What is not one to one is not paired."""
    with pytest.raises(ValueError, match="expected as many values of each, found 2 and 1"):
        function([1.0, 2.0], [1.0])  # type: ignore[operator]
