"""Stein's two-stage interval keeps its promise where stopping at a narrow look does not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from repro_hydra.stats import SteinPlan, mean_interval, stein_interval, stein_two_stage

PILOT = [0.912, 0.934, 0.921, 0.905, 0.940]


def test_plan_by_its_formula() -> None:
    """n = max(n0, ceil((t(n0 - 1) · std / h)²)), Stein (1945), with SciPy's t and NumPy's std."""
    for half_width in (0.001, 0.004, 0.01, 0.1):
        plan = stein_two_stage(PILOT, half_width=half_width)
        wanted = (stats.t.ppf(0.975, 4) * np.std(PILOT, ddof=1) / half_width) ** 2
        assert plan.n_total == max(5, math.ceil(wanted))
        assert plan.n_more == max(0, math.ceil(wanted) - 5)
        assert (plan.pilot_n, plan.half_width, plan.confidence) == (5, half_width, 0.95)


def test_interval_is_the_mean_of_all_and_the_planned_width() -> None:
    """The second stage moves the centre and never the width."""
    plan = stein_two_stage(PILOT, half_width=0.01)
    assert plan.n_more is not None
    values = [*PILOT, *[0.95] * plan.n_more]
    interval = stein_interval(values, plan)
    assert (interval.low, interval.high) == pytest.approx(
        (np.mean(values) - 0.01, np.mean(values) + 0.01), rel=1e-12
    )
    assert (interval.method, interval.n) == ("Stein two-stage", plan.n_total)


def test_no_interval_before_all_seeds_are_there() -> None:
    """One planned seed that is missing, and there is no interval yet."""
    plan = stein_two_stage(PILOT, half_width=0.01)
    assert plan.n_total is not None
    interval = stein_interval([*PILOT, *[0.9] * (plan.n_total - 6)], plan)
    assert not interval.defined
    assert interval.notes == (
        f"no interval yet: {plan.n_total - 1} of the {plan.n_total} seeds that were planned",
    )


@pytest.mark.parametrize("n0", [3, 5])
@pytest.mark.parametrize("half_width", [0.6, 1.0])
def test_coverage_holds_whatever_the_spread(n0: int, half_width: float) -> None:
    """In 20,000 sweeps the two-stage interval covers at least 95 %."""
    generator = np.random.default_rng(100 * n0 + int(10 * half_width))
    pilots = generator.normal(size=(20_000, n0))
    totals = np.maximum(
        n0, np.ceil((stats.t.ppf(0.975, n0 - 1) * pilots.std(axis=1, ddof=1) / half_width) ** 2)
    )
    # The sum of the second stage's values is itself normal, so it is drawn as one number.
    rest = generator.normal(size=20_000) * np.sqrt(totals - n0)
    means = (pilots.sum(axis=1) + rest) / totals
    assert np.mean(np.abs(means) <= half_width) >= 0.95 - 0.004
    for row in range(200):  # the array above is the function's own arithmetic
        assert stein_two_stage(pilots[row], half_width=half_width).n_total == totals[row]


def test_stopping_when_the_interval_looks_narrow_covers_too_little() -> None:
    """What the rule is for: adding seeds from three on until the t-interval is narrow covers about 91 %."""
    generator = np.random.default_rng(41)
    values = generator.normal(size=(10_000, 60))
    counts = np.arange(1, 61)
    means = np.cumsum(values, axis=1) / counts
    squares = np.cumsum(values**2, axis=1) - counts * means**2
    with np.errstate(divide="ignore", invalid="ignore"):
        half = stats.t.ppf(0.975, counts - 1) * np.sqrt(squares / (counts - 1) / counts)
    narrow = (half < 0.6) & (counts >= 3)
    stopped = np.argmax(narrow, axis=1)
    assert narrow.any(axis=1).mean() > 0.999
    covered = np.abs(means[np.arange(10_000), stopped]) <= half[np.arange(10_000), stopped]
    assert 0.88 <= covered.mean() <= 0.935
    low, high = (
        mean_interval(values[0, : stopped[0] + 1]).low,
        mean_interval(values[0, : stopped[0] + 1]).high,
    )
    assert low is not None
    assert high is not None
    assert high - low == pytest.approx(2 * half[0, stopped[0]], rel=1e-9)


def test_exact_square_is_not_one_seed_too_many() -> None:
    """Where the rule asks for exactly n, rounding does not make it n + 1."""
    std = float(np.std(PILOT, ddof=1))
    for n in range(6, 60):
        half_width = float(stats.t.ppf(0.975, 4)) * std / math.sqrt(n)
        assert stein_two_stage(PILOT, half_width=half_width).n_total == n


@pytest.mark.parametrize(
    ("pilot", "note"),
    [
        ([0.9], "no estimate: 1 seeds"),
        ([0.9, 0.9], "no estimate: all 2 values are identical"),
        ([0.9, math.inf], "1 infinite among 2 values"),
    ],
)
def test_pilot_without_spread_plans_nothing(pilot: list[float], note: str) -> None:
    """Without a spread there is no plan, and without a plan no interval, for the same reason."""
    plan = stein_two_stage(pilot, half_width=0.1)
    assert (plan.n_total, plan.n_more) == (None, None)
    assert plan.notes[0].startswith(note)
    assert stein_interval([0.9, 0.8], plan).notes == plan.notes


def test_broken_second_stage_has_no_interval() -> None:
    """A NaN among the later seeds is named, not averaged."""
    plan = SteinPlan(n_total=3, half_width=0.1, pilot_n=2, pilot_std=0.1, confidence=0.95)
    interval = stein_interval([0.9, 0.8, math.nan], plan)
    assert not interval.defined
    assert "1 NaN among 3 values" in interval.notes[0]


def test_absurd_widths() -> None:
    """Too narrow is answered in words; no width at all is refused."""
    assert stein_two_stage(PILOT, half_width=1e-9).notes == ("more than 1000000 seeds",)
    with pytest.raises(ValueError, match="half_width: expected a positive number"):
        stein_two_stage(PILOT, half_width=-1)
