"""Performance profiles and the interquartile mean over many tasks, held against rliable's own numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from repro_hydra.stats import interquartile_mean, interquartile_mean_interval, performance_profile

# Rows are runs, columns tasks.
SCORES = [
    [0.0, 0.35, 0.7, 1.05],
    [0.7, 1.1500000000000001, 1.6, 0.35000000000000003],
    [1.4, 0.25, 0.7999999999999999, 0.85],
    [0.4, 1.05, 1.2000000000000002, 0.15000000000000002],
    [1.1, 0.15000000000000002, 0.4, 0.65],
    [0.1, 0.45, 0.7999999999999999, 1.15],
]
THRESHOLDS = [0.0, 0.4, 0.8, 1.2, 1.6]
TASKS = list(zip(*SCORES, strict=True))
# rliable 1.2.0 with arch 7.2.0: `create_performance_profile({"a": SCORES}, THRESHOLDS, reps=20000)`, and
# `get_interval_estimates` of `metrics.aggregate_iqm`. Its limits are those of its own draws: good to about 0.02.
RLIABLE_SHARE = [0.9583333333333334, 0.625, 0.375, 0.125, 0.0]
RLIABLE_LOW = [0.875, 0.4166666666666667, 0.16666666666666666, 0.0, 0.0]
RLIABLE_HIGH = [1.0, 0.7916666666666666, 0.5833333333333334, 0.25, 0.0]
RLIABLE_IQM, RLIABLE_IQM_LIMITS = 0.68333333, (0.47083333, 0.925)


def test_profile_is_that_of_rliable() -> None:
    """The same shares to the digit, and the same bands up to one run of 24 and the luck of the draw."""
    profile = performance_profile(TASKS, thresholds=reversed(THRESHOLDS), resamples=20_000)
    assert profile.thresholds == tuple(THRESHOLDS)
    assert profile.share == pytest.approx(RLIABLE_SHARE, abs=1e-12)
    assert profile.low == pytest.approx(RLIABLE_LOW, abs=1 / 24 + 1e-9)
    assert profile.high == pytest.approx(RLIABLE_HIGH, abs=1 / 24 + 1e-9)
    assert profile.runs == (6, 6, 6, 6)
    assert profile.notes == ()


def test_interquartile_mean_is_that_of_rliable() -> None:
    """Over all runs of all tasks, drawn task by task."""
    interval = interquartile_mean_interval(TASKS, resamples=20_000)
    assert interquartile_mean([x for task in TASKS for x in task]).value == pytest.approx(
        RLIABLE_IQM, abs=1e-8
    )
    assert (interval.low, interval.high) == pytest.approx(RLIABLE_IQM_LIMITS, abs=0.02)
    assert interval.n == 24


def test_tasks_count_alike_whatever_their_number_of_runs() -> None:
    """Ten runs of one task and two of another: each task is one half."""
    profile = performance_profile([[1.0] * 10, [0.0, 2.0]], thresholds=[0.5])
    assert profile.share == (0.75,)


def test_strata_are_kept_apart() -> None:
    """Between tasks nothing is drawn: two tasks without spread give a band without width."""
    profile = performance_profile([[0.0] * 6, [1.0] * 6], thresholds=[0.5])
    assert (profile.share, profile.low, profile.high) == ((0.5,), (0.5,), (0.5,))
    interval = interquartile_mean_interval([[0.0] * 6, [1.0] * 6])
    assert (interval.low, interval.high) == (0.5, 0.5)


def test_draws_are_of_a_generator_of_their_own() -> None:
    """The same call gives the same band, the global generator is not moved, another seed gives another band."""
    np.random.seed(3)
    before = np.random.get_state()[1].tolist()
    one = performance_profile(TASKS, thresholds=np.linspace(0, 2, 50))
    assert one == performance_profile(TASKS, thresholds=np.linspace(0, 2, 50))
    assert interquartile_mean_interval(TASKS) != interquartile_mean_interval(TASKS, seed=1)
    assert np.random.get_state()[1].tolist() == before


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ([], "no tasks"),
        ([[1.0], []], "task 2 of 2: no values"),
        ([[1.0, math.nan]], "1 NaN among 2 values"),
    ],
)
def test_refusals(tasks: list[list[float]], words: str) -> None:
    """No silent number."""
    profile = performance_profile(tasks, thresholds=[0.0])
    interval = interquartile_mean_interval(tasks)
    assert (profile.share, profile.low, interval.low) == ((), (), None)
    assert words in profile.notes[0]
    assert words in interval.notes[0]


def test_one_run_of_each_task_has_a_profile_and_no_band() -> None:
    """And few runs are flagged."""
    profile = performance_profile([[1.0], [2.0]], thresholds=[1.5])
    assert (profile.share, profile.low, profile.high) == ((0.5,), (), ())
    assert "no band" in profile.notes[0]
    assert "no interval" in interquartile_mean_interval([[1.0], [2.0]]).notes[0]
    assert "below 10" in performance_profile([[1.0, 2.0, 3.0]], thresholds=[1.5]).notes[0]


def test_options_out_of_range() -> None:
    """Where, expected, found."""
    with pytest.raises(ValueError, match=r"thresholds\[1\]: expected a finite number"):
        performance_profile(TASKS, thresholds=[0.0, math.inf])
    with pytest.raises(ValueError, match="resamples: expected at least 100"):
        performance_profile(TASKS, thresholds=[0.0], resamples=10)
    with pytest.raises(ValueError, match=r"Write 0\.95"):
        interquartile_mean_interval(TASKS, confidence=95)
