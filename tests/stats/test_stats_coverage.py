"""How often the intervals cover: the table of docs/statistics.md is what the functions do."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from scripts_loaded import load_script

ROOT = Path(__file__).resolve().parents[2]
script = load_script("make_coverage_table")
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
    assert all(WRITTEN[bootstrap, "normal", n] < 0.92 for n in script.SIZES[:3])
    assert all(WRITTEN[t, "skewed", n] < 0.92 for n in script.SIZES)
    sequence = "`t_sequence`, at every look up to n together"
    assert all(WRITTEN[sequence, "normal", n] >= 0.95 for n in script.SIZES)
