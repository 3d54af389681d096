"""What the documents say of the statistics, and statsmodels' own numbers."""

from __future__ import annotations

import doctest
import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import pytest

from repro_hydra import stats

ROOT = Path(__file__).resolve().parents[2]
A = [0.912, 0.921, 0.915, 0.925, 0.917]
B = [0.901, 0.915, 0.911, 0.918, 0.908, 0.905]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "make_coverage_table", ROOT / "scripts" / "make_coverage_table.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


script = load()
WRITTEN = script.written((ROOT / "docs" / "statistics.md").read_text(encoding="utf-8"))
FAST = [
    ("`mean_interval` (Student t)", "normal", 3),
    ("`mean_interval` (Student t)", "skewed", 5),
    ("`bootstrap_interval` (BCa)", "normal", 3),
    ("`prediction_interval`", "heavy-tailed", 10),
    ("`coefficient_of_variation_interval` (Vangel)", "normal", 5),
    ("`seeds_for_…`: interval of the std (chi-square)", "skewed", 30),
    ("`paired_t_test`", "normal", 5),
    ("`welch_t_test`, one std three times the other", "normal", 10),
    ("`probability_of_improvement`, true value 0.5", "normal", 5),
    ("`stein_two_stage`, n of the pilot", "normal", 5),
]


def test_the_table_has_every_interval_and_size() -> None:
    """Each method at n = 3, 5, 10, 30 for three shapes; refused only where a method refuses so few."""
    expected = {
        (method.name, shape.name, n)
        for method in script.METHODS
        for shape in script.SHAPES
        for n in script.SIZES
    }
    refused = {("`prediction_interval`", shape.name, 3) for shape in script.SHAPES}
    assert set(WRITTEN) == expected - refused


@pytest.mark.parametrize(("name", "shape", "n"), FAST)
def test_the_table_is_what_the_functions_do(name: str, shape: str, n: int) -> None:
    """Simulated again with fewer sweeps: within four standard errors."""
    method = next(item for item in script.METHODS if item.name == name)
    chosen = next(item for item in script.SHAPES if item.name == shape)
    written = WRITTEN[name, shape, n]
    found = script.coverage(method, chosen, n, 800)
    assert abs(found - written) <= 4 * math.sqrt(max(written * (1 - written), 0.002) / 800)


def test_what_the_page_concludes_from_the_table() -> None:
    """Its sentences below the table."""
    t, bootstrap = "`mean_interval` (Student t)", "`bootstrap_interval` (BCa)"
    assert all(abs(WRITTEN[t, "normal", n] - 0.95) < 0.015 for n in script.SIZES)
    assert all(WRITTEN[bootstrap, "normal", n] < 0.92 for n in (3, 5, 10))
    assert all(WRITTEN[t, "skewed", n] < 0.92 for n in script.SIZES)
    sequence = "`t_sequence`, at every look up to n together"
    assert all(WRITTEN[sequence, "normal", n] >= 0.95 for n in script.SIZES)


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
