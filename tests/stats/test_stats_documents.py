"""What the documents say of the statistics, and statsmodels' own numbers."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

from repro_hydra import stats

ROOT = Path(__file__).resolve().parents[2]
A = [0.912, 0.921, 0.915, 0.925, 0.917]
B = [0.901, 0.915, 0.911, 0.918, 0.908, 0.905]


@pytest.mark.parametrize("page", ["statistics.md", "how-many-seeds.md"])
def test_the_examples_run(page: str) -> None:
    """What a page shows is what is printed."""
    failures, tried = doctest.testfile(str(ROOT / "docs" / page), module_relative=False, optionflags=0)
    assert failures == 0
    assert tried >= 4


def test_the_tables_of_seeds_needed() -> None:
    """Of docs/how-many-seeds.md."""
    text = (ROOT / "docs" / "how-many-seeds.md").read_text(encoding="utf-8")
    effects = (0.5, 0.75, 1.0, 1.5, 2.0)
    for words, paired in (("different seeds (Welch)", False), ("the same seeds (paired)", True)):
        numbers = [stats.seeds_for_power(effect, paired=paired) for effect in effects]
        assert f"| {words} | {' | '.join(map(str, numbers))} |" in text
    halves = []
    for n in (2, 3, 5, 8, 10, 15, 20, 30):
        values = [(-1.0) ** i for i in range(n)]
        summary = stats.summarize(values)
        assert summary.ci_high is not None
        assert summary.mean is not None
        assert summary.std is not None
        halves.append(f"{(summary.ci_high - summary.mean) / summary.std:.2f}")
    assert f"| half-width in standard deviations | {' | '.join(halves)} |" in text


# statsmodels 0.15.0 printed the numbers below for A and B (`DescrStatsW`, `CompareMeans`, `multipletests`,
# `TTestPower`, `TTestIndPower`).


def test_intervals_and_tests_are_those_of_statsmodels() -> None:
    """Student t at 95 and 99 %, Welch, paired."""
    interval = stats.mean_interval(A)
    assert (interval.low, interval.high) == pytest.approx((0.9116687310438333, 0.9243312689561666), rel=1e-12)
    interval = stats.mean_interval(A, confidence=0.99)
    assert (interval.low, interval.high) == pytest.approx((0.9075010483457234, 0.9284989516542764), rel=1e-12)
    welch = stats.welch_t_test(A, B)
    assert (welch.statistic, welch.p_value, welch.degrees_of_freedom) == pytest.approx(
        (2.4213713882063614, 0.03852694434903739, 8.998929336188437), rel=1e-10
    )
    assert (welch.ci_low, welch.ci_high) == pytest.approx(
        (0.0005478066354681673, 0.016118860031197994), rel=1e-9
    )
    paired = stats.paired_t_test(A, B[:5])
    assert (paired.statistic, paired.p_value) == pytest.approx(
        (6.124283575657523, 0.003601023172530536), rel=1e-10
    )
    assert (paired.ci_low, paired.ci_high) == pytest.approx(
        (0.004045208615073348, 0.010754791384926665), rel=1e-9
    )


def test_corrections_and_powers_are_those_of_statsmodels() -> None:
    """Holm over five, the power of both tests, the seeds for an effect of 0.9."""
    assert stats.holm([0.01, 0.04, 0.03, 0.005, 0.2]) == pytest.approx((0.04, 0.09, 0.09, 0.025, 0.2))
    assert stats.power_of_t_test(0.8, 12, paired=True) == pytest.approx(0.7136600656001074, rel=1e-8)
    assert stats.power_of_t_test(0.8, 20, paired=False) == pytest.approx(0.6934041966153818, rel=1e-8)
    assert stats.seeds_for_power(0.9, paired=False) == 21  # 20.386 before it is rounded up
