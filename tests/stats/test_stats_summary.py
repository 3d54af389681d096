"""One configuration in one row: the numbers, and the refusals."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from repro_hydra.stats import Summary, coefficient_of_variation_interval, mean_interval, summarize

VANGEL_SAMPLE = [
    326,
    302,
    307,
    299,
    329,
]  # the example of Vangel's paper, as circulated with K. Wright's R code
values_near_hundred = st.lists(st.integers(min_value=-2000, max_value=2000), min_size=2, max_size=12).map(
    lambda offsets: [100.0 + offset / 64.0 for offset in offsets]  # exact in binary, all positive
)
DEFINED_FROM_TWO = [
    "mean",
    "std",
    "standard_error",
    "ci_low",
    "ci_high",
    "median",
    "q25",
    "q75",
    "min",
    "max",
    "coefficient_of_variation",
    "coefficient_of_variation_corrected",
    "max_relative_deviation",
    "stable",
    "within_tolerance",
]


def undefined_fields(summary: Summary) -> set[str]:
    """The names of all fields that are None."""
    return {field.name for field in dataclasses.fields(summary) if getattr(summary, field.name) is None}


def test_each_number_agrees_with_numpy_and_scipy() -> None:
    """Every statistic of an ordinary sample is NumPy's or SciPy's."""
    values = [0.912, 0.934, 0.921, 0.905, 0.940, 0.917, 0.928]
    summary = summarize(values, confidence=0.9)
    low, high = stats.t.interval(0.9, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    expected = {
        "n": 7,
        "mean": np.mean(values),
        "std": np.std(values, ddof=1),
        "standard_error": stats.sem(values),
        "ci_low": low,
        "ci_high": high,
        "median": np.median(values),
        "q25": np.quantile(values, 0.25),
        "q75": np.quantile(values, 0.75),
        "min": 0.905,
        "max": 0.940,
        "coefficient_of_variation": stats.variation(values, ddof=1),
        "coefficient_of_variation_corrected": stats.variation(values, ddof=1) * (1 + 1 / 28),
        "max_relative_deviation": max(abs(np.asarray(values) - np.mean(values))) / np.mean(values),
    }
    for name, value in expected.items():
        assert getattr(summary, name) == pytest.approx(value, rel=1e-12), name
    assert summary.notes == ()


def test_vangel_example() -> None:
    """{326, 302, 307, 299, 329}: coefficient 0.0445910, Vangel's interval [0.0267004, 0.1286673]."""
    summary = summarize(VANGEL_SAMPLE)
    assert summary.coefficient_of_variation == pytest.approx(0.0445910, abs=5e-8)
    assert summary.coefficient_of_variation_low == pytest.approx(0.0267004, abs=6e-8)
    assert summary.coefficient_of_variation_high == pytest.approx(0.1286673, abs=6e-8)
    assert (summary.stable, summary.within_tolerance) == (True, False)


def test_intervals_are_those_of_the_separate_functions() -> None:
    """The row and the functions for one interval never tell two stories."""
    summary = summarize(VANGEL_SAMPLE, confidence=0.9)
    mean = mean_interval(VANGEL_SAMPLE, confidence=0.9)
    variation = coefficient_of_variation_interval(VANGEL_SAMPLE, confidence=0.9)
    assert (summary.ci_low, summary.ci_high) == (mean.low, mean.high)
    assert (summary.coefficient_of_variation_low, summary.coefficient_of_variation_high) == (
        variation.low,
        variation.high,
    )


def test_no_values() -> None:
    """Nothing in, nothing defined, and it says so."""
    summary = summarize([])
    assert summary.n == 0
    assert undefined_fields(summary) >= {*DEFINED_FROM_TWO}
    assert summary.notes == ("no values: nothing to summarize",)


def test_one_seed_has_no_interval_of_any_width() -> None:
    """n = 1 has a value, and neither spread nor interval nor verdict, with the reason."""
    summary = summarize([0.93])
    assert (summary.n, summary.mean, summary.median, summary.min, summary.max) == (1, 0.93, 0.93, 0.93, 0.93)
    assert undefined_fields(summary) == {
        "std",
        "standard_error",
        "ci_low",
        "ci_high",
        "coefficient_of_variation",
        "coefficient_of_variation_corrected",
        "coefficient_of_variation_low",
        "coefficient_of_variation_high",
        "max_relative_deviation",
        "stable",
        "within_tolerance",
    }
    assert summary.notes == (
        "one value: no spread and no interval, since one seed tells nothing about spread",
    )


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ([math.nan], "1 NaN among 4 values"),
        ([math.inf, -math.inf], "2 infinite among 5 values"),
        ([math.nan, math.inf], "1 NaN and 1 infinite among 5 values"),
    ],
)
def test_nan_and_infinities_are_named_and_never_dropped(bad: list[float], named: str) -> None:
    """One NaN among good values leaves nothing defined but n, which counts it."""
    summary = summarize([0.9, *bad, 0.8, 0.7])
    assert summary.n == 3 + len(bad)
    assert undefined_fields(summary) >= {*DEFINED_FROM_TWO}
    assert len(summary.notes) == 1
    assert named in summary.notes[0]


@given(st.floats(min_value=0.001, max_value=1000), st.integers(min_value=2, max_value=20))
def test_identical_values_have_no_spread_and_a_question(value: float, n: int) -> None:
    """Equal values: exactly that mean, exactly no spread, and the question whether the seed takes effect."""
    summary = summarize([value] * n)
    assert (summary.mean, summary.std, summary.ci_low, summary.ci_high) == (value, 0.0, value, value)
    assert (summary.median, summary.q25, summary.q75) == (value, value, value)
    assert (summary.coefficient_of_variation, summary.stable, summary.within_tolerance) == (0.0, True, True)
    assert summary.notes == (
        f"all {n} values are identical, so every interval has zero width: does the seed take effect?",
    )


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([0.0, 0.0, 0.0], "the mean is zero"),
        ([-1.0, 1.0], "both signs"),
        ([-0.1, 5.0, 6.0, 7.0], "both signs"),
        ([1e-17, -1e-17, 1e-17], "both signs"),
        ([0.0, 1.0], "within 2 standard errors"),
        ([0.0, 0.0, 0.0, 0.0, 9.0], "within 2 standard errors"),
        ([-0.0, -1e-9, -9.0], "within 2 standard errors"),
    ],
)
def test_mean_not_told_apart_from_zero_has_no_coefficient(values: list[float], reason: str) -> None:
    """Near a zero mean, or with both signs, the ratio says nothing: no coefficient, no verdict, the reason."""
    summary = summarize(values)
    assert undefined_fields(summary) == {
        "coefficient_of_variation",
        "coefficient_of_variation_corrected",
        "coefficient_of_variation_low",
        "coefficient_of_variation_high",
        "max_relative_deviation",
        "stable",
        "within_tolerance",
    }
    refusals = [note for note in summary.notes if note.startswith("no coefficient of variation")]
    assert len(refusals) == 1
    assert reason in refusals[0]
    assert "neither stable nor unstable" in refusals[0]


def test_negative_values_of_one_sign_have_a_coefficient() -> None:
    """A metric that is always negative has the same coefficient as its absolute value."""
    positive, negative = summarize(VANGEL_SAMPLE), summarize([-value for value in VANGEL_SAMPLE])
    assert negative.coefficient_of_variation == positive.coefficient_of_variation
    assert negative.coefficient_of_variation_high == positive.coefficient_of_variation_high
    assert negative.max_relative_deviation == pytest.approx(positive.max_relative_deviation, rel=1e-14)


def test_large_coefficient_is_flagged_and_unbounded_one_has_no_interval() -> None:
    """Above 1/3 Vangel's interval is flagged; where it has no upper limit it is left out, with the reason."""
    flagged = summarize([1.0, 2.0, 2.5, 3.0, 3.5, 2.2])
    assert flagged.coefficient_of_variation is not None
    assert flagged.coefficient_of_variation > 1 / 3
    assert flagged.coefficient_of_variation_high is not None
    assert any("unreliable" in note for note in flagged.notes)
    unbounded = summarize([1.0, 2.0, 3.0])
    assert unbounded.coefficient_of_variation == 0.5
    assert unbounded.coefficient_of_variation_low is None
    assert unbounded.coefficient_of_variation_high is None
    assert any("has no upper limit" in note for note in unbounded.notes)


@pytest.mark.parametrize(
    ("threshold", "tolerance", "verdicts"),
    [(0.1, 0.01, (True, False)), (0.04, 0.05, (False, True)), (0.0445910220389067, 1.0, (False, True))],
)
def test_thresholds_are_compared_with_the_plain_coefficient(
    threshold: float, tolerance: float, verdicts: tuple[bool, bool]
) -> None:
    """`stable` and `within_tolerance` are the uncorrected coefficient against the two limits, as in the guide."""
    summary = summarize(VANGEL_SAMPLE, stability_threshold=threshold, tolerance=tolerance)
    assert (summary.stable, summary.within_tolerance) == verdicts


def test_a_limit_that_is_just_reached_counts_as_kept() -> None:
    """At most means at most: identical values are within a tolerance of 0, and the coefficient within itself."""
    assert summarize([2.0, 2.0], tolerance=0.0, stability_threshold=0.0).within_tolerance is True
    ratio = summarize(VANGEL_SAMPLE).coefficient_of_variation
    assert ratio is not None
    assert summarize(VANGEL_SAMPLE, tolerance=ratio).within_tolerance is True
    assert summarize(VANGEL_SAMPLE, tolerance=math.nextafter(ratio, 0)).within_tolerance is False


@given(values_near_hundred, st.randoms(use_true_random=False))
def test_order_of_the_runs_does_not_matter(values: list[float], random: Any) -> None:
    """The same runs in another order give an equal summary, bit by bit."""
    shuffled = list(values)
    random.shuffle(shuffled)
    assert summarize(shuffled) == summarize(values)


@given(values_near_hundred, st.integers(min_value=-300, max_value=300))
def test_unit_of_the_metric_does_not_matter(values: list[float], exponent: int) -> None:
    """In another unit what has the unit scales with it, and ratios and verdicts stay."""
    factor = math.ldexp(1.0, exponent)
    before, after = summarize(values), summarize([value * factor for value in values])
    for name in ("mean", "std", "standard_error", "median", "q25", "q75", "min", "max"):
        assert getattr(after, name) == getattr(before, name) * factor, name
    assert after.ci_low == pytest.approx(before.ci_low * factor, rel=1e-12)  # type: ignore[operator]
    for name in ("coefficient_of_variation", "coefficient_of_variation_high", "stable", "within_tolerance"):
        assert getattr(after, name) == getattr(before, name), name


@given(values_near_hundred, st.integers(min_value=-1000, max_value=1000))
def test_shift_moves_the_mean_and_not_the_spread(values: list[float], shift: int) -> None:
    """A constant added to each value is added to the mean, and the spread stays."""
    assume(len(set(values)) > 1)
    before, after = summarize(values), summarize([value + shift for value in values])
    assert before.mean is not None
    assert after.mean == pytest.approx(before.mean + shift, rel=1e-12, abs=1e-9)
    assert after.std == pytest.approx(before.std, rel=1e-9)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=8))
def test_any_floats_give_a_strict_json_row_with_reasons(values: list[float]) -> None:
    """Whatever the floats: no exception, no NaN, no infinity, and a note wherever something is undefined."""
    summary = summarize(values)
    json.dumps(dataclasses.asdict(summary), allow_nan=False)
    assert summary.n == len(values)
    if undefined_fields(summary):
        assert summary.notes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"confidence": 95}, "confidence: expected a number between 0 and 1"),
        ({"stability_threshold": -0.1}, "stability_threshold: expected a number of at least 0"),
        ({"tolerance": math.nan}, "tolerance: expected a number of at least 0"),
    ],
)
def test_options_out_of_range_are_refused(arguments: dict[str, float], message: str) -> None:
    """A mistyped option is named before anything is computed, even for an empty sample."""
    with pytest.raises(ValueError, match=message):
        summarize([], **arguments)


def test_docstring_examples_run() -> None:
    """The examples in the documentation of `summarize` and `holm` give what they say."""
    import doctest

    from repro_hydra.stats import compare, summary

    for module, examples in ((summary, 3), (compare, 1)):
        result = doctest.testmod(module)
        assert (result.failed, result.attempted) == (0, examples)
