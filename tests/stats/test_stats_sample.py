"""What is accepted as a sample, and the arithmetic below everything else."""

from __future__ import annotations

import math
import statistics
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro_hydra.stats.sample import (
    check_fraction,
    check_positive,
    mean_and_std,
    not_finite_note,
    quantile,
    t_quantile,
    to_floats,
)

# Powers of two apart from the extremes, so that shifting and scaling them stays exact where a test needs it.
numbers = st.floats(min_value=-1e9, max_value=1e9, allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-9)
samples = st.lists(numbers, min_size=2, max_size=30)


def test_nist_numacc1() -> None:
    """NIST StRD "NumAcc1" (10000001, 10000003, 10000002): mean 10000002 and standard deviation 1."""
    assert mean_and_std([10000001.0, 10000003.0, 10000002.0]) == (10000002.0, 1.0)


def nist_numacc4() -> list[float]:
    """NIST StRD "NumAcc4": 10000000.2, then 500 times 10000000.1 and 10000000.3."""
    return [10000000.2] + [10000000.1, 10000000.3] * 500


def test_nist_numacc4() -> None:
    """NIST StRD "NumAcc4": mean 10000000.2 and standard deviation 0.1, as close as its doubles can be (2e-9 apart)."""
    mean, std = mean_and_std(nist_numacc4())
    assert mean == 10000000.2
    assert std == pytest.approx(0.1, rel=1e-8)


def test_nist_numacc4_is_exact_for_the_doubles_it_is_given() -> None:
    """Against rational arithmetic on the very doubles no digit is lost."""
    values = nist_numacc4()
    exact_mean = sum(map(Fraction, values)) / len(values)
    exact_variance = sum((Fraction(value) - exact_mean) ** 2 for value in values) / (len(values) - 1)
    mean, std = mean_and_std(values)
    assert mean == float(exact_mean)
    assert std == pytest.approx(math.sqrt(exact_variance), rel=4e-16)


@given(samples)
def test_mean_and_std_agree_with_rational_arithmetic(values: list[float]) -> None:
    """On any sample the result is that of `statistics`, which computes with fractions."""
    mean, std = mean_and_std(values)
    assert mean == pytest.approx(statistics.mean(values), rel=1e-15, abs=1e-24)
    assert std == pytest.approx(statistics.stdev(values), rel=1e-14)


@given(samples, st.randoms(use_true_random=False))
def test_order_does_not_matter(values: list[float], random: object) -> None:
    """The same runs in another order give the same bits."""
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert mean_and_std(shuffled) == mean_and_std(values)


@given(numbers, st.integers(min_value=1, max_value=40))
def test_equal_values_have_exactly_no_spread(value: float, n: int) -> None:
    """Equal values give that value and exactly 0, for each n (0.1 three times would not, by plain sums)."""
    assert mean_and_std([value] * n) == (value, 0.0)


@given(samples)
def test_different_values_have_some_spread(values: list[float]) -> None:
    """The standard deviation is 0 for equal values only."""
    assert (mean_and_std(values)[1] == 0.0) == (len(set(values)) == 1)


@given(samples, st.integers(min_value=-900, max_value=900))
def test_scaling_by_a_power_of_two_is_exact(values: list[float], exponent: int) -> None:
    """The result scales with the unit, far beyond where a square would overflow or vanish."""
    mean, std = mean_and_std(values)
    scaled = mean_and_std([math.ldexp(value, exponent) for value in values])
    assert scaled == (math.ldexp(mean, exponent), math.ldexp(std, exponent))


def test_spread_beyond_the_largest_double_is_infinite_not_an_exception() -> None:
    """The two largest doubles of either sign have a mean, and a spread that no double holds."""
    largest = 1.7e308
    assert mean_and_std([-largest, largest]) == (0.0, math.inf)


@pytest.mark.parametrize(
    "values",
    [
        [1, 2.0, 3],
        (1, 2, 3),
        np.asarray([1, 2, 3]),
        np.asarray([1, 2, 3], dtype=np.float32),
        [np.float64(1), np.int64(2), np.asarray(3.0)],
        [Decimal(1), Fraction(2), 3.0],
        (x for x in (1, 2, 3)),
    ],
    ids=["list", "tuple", "int array", "float32 array", "NumPy scalars", "exact numbers", "generator"],
)
def test_numbers_of_all_kinds_are_accepted(values: object) -> None:
    """Lists, arrays, NumPy scalars, decimals and generators are all samples."""
    floats = to_floats(values)  # type: ignore[arg-type]
    assert floats == [1.0, 2.0, 3.0]
    assert all(type(value) is float for value in floats)


def test_nan_and_infinities_are_kept() -> None:
    """What is not finite stays in, for the caller to name."""
    assert [math.isfinite(x) for x in to_floats([1.0, math.nan, math.inf, np.float32("nan")])] == [
        True
    ] + 3 * [False]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({0: 0.9, 1: 0.8}, "sequence of numbers, found a dict"),
        ({0.9, 0.8}, "sequence of numbers, found a set"),
        ("0.9", "sequence of numbers, found a str"),
        ([0.9, "0.8"], r"values\[1\]: expected a number, found str '0.8'"),
        ([None], r"values\[0\]: expected a number, found NoneType None"),
        ([True], r"values\[0\]: expected a number, found bool True"),
        ([np.True_], r"values\[0\]: expected a number, found bool True"),
        (np.asarray([True]), r"values\[0\]: expected a number, found bool True"),
        ([[1.0], [2.0]], r"values\[0\]: expected a number, found list"),
        ([np.asarray([1.0])], r"values\[0\]: expected a number, found ndarray"),
        ([1j], r"values\[0\]: expected a number, found complex"),
    ],
)
def test_what_is_no_sample_is_refused_by_name(values: object, message: str) -> None:
    """A mapping, a set, a string or a truth value is a mistake, and the message says where."""
    with pytest.raises(TypeError, match=message):
        to_floats(values)  # type: ignore[arg-type]


def test_two_dimensions_are_refused() -> None:
    """A table of runs and tasks is not one sample."""
    with pytest.raises(ValueError, match="expected one dimension, found 2"):
        to_floats(np.zeros((3, 2)))


def test_integer_too_large_for_a_double_is_refused() -> None:
    """It would be an OverflowError from deep inside otherwise."""
    with pytest.raises(ValueError, match=r"values\[0\]: expected a number that fits a double"):
        to_floats([10**400])


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, math.nan, 2000.0])
def test_confidence_outside_its_range_is_refused(fraction: float) -> None:
    """Only what lies strictly between 0 and 1 is a confidence."""
    with pytest.raises(ValueError, match="confidence: expected a number between 0 and 1, found"):
        check_fraction(fraction)


def test_percentage_gets_the_fraction_to_write() -> None:
    """95 is told what to write instead."""
    with pytest.raises(ValueError, match=r"found 95\. Write 0\.95"):
        check_fraction(95)


@pytest.mark.parametrize("number", [0.0, -1.0, math.nan, math.inf])
def test_a_width_must_be_positive(number: float) -> None:
    """Zero, negative and infinite widths are refused by name."""
    with pytest.raises(ValueError, match="half_width: expected a positive number"):
        check_positive(number, name="half_width")


def test_not_finite_note_counts_each_kind() -> None:
    """The note tells NaN from infinities, and says nothing of finite values."""
    assert not_finite_note([1.0, 2.0]) is None
    note = not_finite_note([1.0, math.nan, math.nan, -math.inf])
    assert note is not None
    assert note.startswith("2 NaN and 1 infinite among 4 values")


@given(st.lists(numbers, min_size=1, max_size=30).map(sorted), st.floats(min_value=0, max_value=1))
def test_quantile_agrees_with_numpy(ordered: list[float], fraction: float) -> None:
    """Quantiles are NumPy's default ones (type 7)."""
    expected = float(np.quantile(ordered, fraction))
    assert quantile(ordered, fraction) == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_median_of_huge_values_does_not_overflow() -> None:
    """Two values near the largest double have a median between them."""
    assert quantile([1.6e308, 1.6e308 * 1.0000001], 0.5) == pytest.approx(1.6e308, rel=1e-6)


@pytest.mark.parametrize(
    ("degrees_of_freedom", "confidence", "expected"),
    [
        (1, 0.95, 12.7062),
        (2, 0.95, 4.30265),
        (4, 0.95, 2.77645),
        (9, 0.95, 2.26216),
        (4, 0.99, 4.60409),
        (30, 0.9, 1.69726),
    ],
)
def test_t_quantile_is_that_of_the_tables(
    degrees_of_freedom: int, confidence: float, expected: float
) -> None:
    """Percentage points of Student's t, Abramowitz & Stegun, table 26.10."""
    assert t_quantile(degrees_of_freedom, confidence) == pytest.approx(expected, abs=6e-5)
