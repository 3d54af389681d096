"""The BCa bootstrap: SciPy's numbers, a generator of its own, and a warning for few seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from repro_hydra.stats import bootstrap_interval, interquartile_means, mean_interval
from repro_hydra.stats.bootstrap import bca_limits

SKEWED = [0.1, 0.2, 0.2, 0.4, 0.5, 0.7, 1.1, 1.6, 2.5, 4.2, 7.3, 0.3]


def rows_median(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median of each row."""
    return np.median(samples, axis=-1)


def test_limits_are_scipys_for_the_same_resamples() -> None:
    """From SciPy's own bootstrap distribution come SciPy's BCa limits."""
    values = np.asarray(SKEWED)
    for statistic in (np.mean, np.var):
        expected = stats.bootstrap(
            (values,), statistic, n_resamples=999, method="BCa", random_state=np.random.default_rng(3)
        )
        left_out = np.asarray([statistic(np.delete(values, i)) for i in range(len(values))])
        limits = bca_limits(expected.bootstrap_distribution, left_out, float(statistic(values)), 0.95)
        assert limits == pytest.approx(tuple(expected.confidence_interval), rel=1e-9)


@pytest.mark.parametrize("statistic", [None, rows_median, interquartile_means])
def test_intervals_agree_with_scipys_up_to_the_luck_of_the_draw(statistic: object) -> None:
    """With many resamples of its own the interval comes close to SciPy's."""
    reference = np.mean if statistic is None else statistic
    expected = stats.bootstrap(
        (SKEWED,), reference, n_resamples=20_000, method="BCa", random_state=np.random.default_rng(1)
    ).confidence_interval
    interval = bootstrap_interval(SKEWED, statistic=statistic, resamples=20_000)  # type: ignore[arg-type]
    assert interval.low == pytest.approx(expected.low, abs=0.06)
    assert interval.high == pytest.approx(expected.high, abs=0.25)
    assert interval.notes == ()


def test_skewed_data_have_a_lopsided_interval() -> None:
    """BCa follows the skew, which the t-interval cannot: the upper arm is the longer one."""
    interval, centre = bootstrap_interval(SKEWED), float(np.mean(SKEWED))
    assert interval.low is not None
    assert interval.high is not None
    assert interval.high - centre > 1.3 * (centre - interval.low)
    symmetric = mean_interval(SKEWED)
    assert symmetric.low is not None
    assert interval.low > symmetric.low


def test_global_generators_are_neither_read_nor_moved() -> None:
    """Statistics draw from a generator of their own: the result does not depend on the global one, nor change it."""
    import random

    np.random.seed(1)
    random.seed(1)
    first = bootstrap_interval(SKEWED)
    state, python_state = np.random.get_state(), random.getstate()
    np.random.seed(2)
    assert bootstrap_interval(SKEWED) == first
    np.random.set_state(state)
    bootstrap_interval(SKEWED)
    after = np.random.get_state()
    assert all(np.array_equal(x, y) for x, y in zip(state, after, strict=True))
    assert random.getstate() == python_state


def test_order_of_the_runs_does_not_matter_and_the_seed_does() -> None:
    """The same runs in another order give the same interval; another seed gives another draw."""
    assert bootstrap_interval(SKEWED[::-1]) == bootstrap_interval(SKEWED)
    assert bootstrap_interval(SKEWED, seed=1) != bootstrap_interval(SKEWED, seed=0)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few numbers are held at a time, the interval is valid; and leaving one out is done for each value."""
    whole = bootstrap_interval(SKEWED, resamples=5000)
    monkeypatch.setattr("repro_hydra.stats.bootstrap._BLOCK", 50)
    blocked = bootstrap_interval(SKEWED, resamples=5000)
    assert blocked.low == pytest.approx(whole.low, abs=0.05)
    assert blocked.high == pytest.approx(whole.high, abs=0.2)


@pytest.mark.parametrize("n", [2, 5, 9])
def test_few_seeds_are_flagged(n: int) -> None:
    """Below ten values the interval says that it covers less than it claims."""
    assert any(
        note.startswith(f"bootstrap with {n} values") for note in bootstrap_interval(SKEWED[-n:]).notes
    )
    assert bootstrap_interval(SKEWED[-10:]).notes == ()


def test_the_flag_is_true() -> None:
    """On 1,000 normal samples of five the nominal 95 % interval covers about 83 %."""
    samples = np.random.default_rng(9).normal(size=(1000, 5))
    covered = 0
    for row in samples:
        interval = bootstrap_interval(row, resamples=400)
        covered += (
            interval.low is not None and interval.high is not None and interval.low <= 0 <= interval.high
        )
    assert covered / 1000 == pytest.approx(0.831, abs=0.04)


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ([], "no values"),
        ([1.0], "no interval: one seed tells nothing about spread"),
        ([1.0, math.nan], "1 NaN among 2"),
    ],
)
def test_refusals(values: list[float], note: str) -> None:
    """Nothing, one seed and a NaN have no interval, and it says why."""
    interval = bootstrap_interval(values)
    assert not interval.defined
    assert interval.notes[0].startswith(note)


def test_identical_values_are_questioned() -> None:
    """Equal values: no width, and the question for the seed."""
    interval = bootstrap_interval([0.9] * 12)
    assert (interval.low, interval.high) == pytest.approx((0.9, 0.9))
    assert "identical" in interval.notes[0]


def test_statistic_at_the_edge_of_its_resamples_is_refused() -> None:
    """No resample has a larger maximum than the sample: half of the interval is missing, so there is none."""
    resampled = np.asarray([1.0, 2.0, 2.5])
    assert bca_limits(resampled, np.asarray([1.0, 2.0]), 3.0, 0.95) is None
    assert bca_limits(resampled, np.asarray([1.0, 2.0]), 0.5, 0.95) is None


def test_statistic_of_the_wrong_shape_is_told_what_to_write() -> None:
    """A statistic over all numbers instead of each row is refused, not silently broadcast."""
    with pytest.raises(ValueError, match=r"statistic: expected shape \(1,\).*axis=-1"):
        bootstrap_interval(SKEWED, statistic=np.mean)  # type: ignore[arg-type]


def test_options_out_of_range() -> None:
    """A handful of resamples is no bootstrap."""
    with pytest.raises(ValueError, match="resamples: expected at least 100, found 10"):
        bootstrap_interval(SKEWED, resamples=10)
