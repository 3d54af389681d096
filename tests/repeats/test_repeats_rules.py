"""The rules of `hydra/sweeper=repro_seeds`: what they decide, and that their promise holds over simulated sweeps.

Each simulation is vectorised, and held against the rule's own decisions row by row for some of its sweeps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from scipy import stats

from repro_hydra.repeats.options import BadOption, SeedOptions
from repro_hydra.repeats.rules import Budget, Decision, Difference, Limits, Repeats, Rule, Width

SWEEPS = 20_000
ERROR = 3 * math.sqrt(0.95 * 0.05 / SWEEPS)
"""Three standard errors of a simulated coverage."""


def repeats(values: list[float] | np.ndarray, label: str = "a") -> Repeats:  # type: ignore[type-arg]
    return Repeats(label=label, values=dict(enumerate(map(float, values))))


def run(
    rule: Rule, sources: list[Iterator[float]], *, batch: int = 5
) -> tuple[list[Decision], list[Repeats]]:
    """A sweep as the sweeper runs it, with seeds that cost nothing."""
    items = [Repeats(label=str(place)) for place in range(len(sources))]
    while True:
        decisions = rule.decide(items)
        if all(decision.done for decision in decisions):
            return decisions, items
        for item, decision, source in zip(items, decisions, sources, strict=True):
            for _ in range(min(decision.more if not isinstance(rule, Difference) else batch, batch)):
                if not decision.done and item.tried < 1000:
                    item.values[item.tried] = next(source)


# ---------------------------------------------------------------------- width: Stein's two stages


def simulate_width(
    generator: np.random.Generator,
    mean: float,
    n0: int,
    *,
    half: float | None,
    relative: float | None,
    most: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Means, half-widths and seeds of many sweeps under `Width`, standard deviation 1."""
    pilots = generator.normal(mean, size=(SWEEPS, n0))
    stds = pilots.std(axis=1, ddof=1)
    wanted = np.full(SWEEPS, half) if relative is None else relative * np.abs(pilots.mean(axis=1))
    t = stats.t.ppf(0.975, n0 - 1)
    totals = np.minimum(np.maximum(n0, np.ceil((t * stds / wanted) ** 2)), most)
    # The sum of the second stage's values is itself normal, so it is drawn as one number.
    rest = mean * (totals - n0) + generator.normal(size=SWEEPS) * np.sqrt(totals - n0)
    return (pilots.sum(axis=1) + rest) / totals, t * stds / np.sqrt(totals), totals


@pytest.mark.parametrize("n0", [3, 5, 10])
@pytest.mark.parametrize(
    ("half", "relative", "most"),
    [(0.3, None, 10**6), (0.6, None, 10**6), (0.3, None, 12), (None, 0.01, 10**6), (None, 0.05, 10**6)],
)
def test_width_covers_as_it_says(n0: int, half: float | None, relative: float | None, most: int) -> None:
    """20,000 sweeps each: absolute and relative widths, and a budget that ends them early, all cover 95 %."""
    generator = np.random.default_rng([n0, int(100 * (half or relative or 0)), most])
    mean = 20.0  # a coefficient of variation of 5 %, as accuracies and losses of a stable training have
    means, halves, totals = simulate_width(generator, mean, n0, half=half, relative=relative, most=most)
    coverage = float(np.mean(np.abs(means - mean) <= halves))
    print(
        f"n0={n0} half={half} relative={relative} most={most}: covers {coverage:.4f}, {totals.mean():.1f} seeds"
    )
    assert abs(coverage - 0.95) <= ERROR + (0.005 if relative else 0.0)


def test_the_simulation_is_the_rule() -> None:
    """Row by row: the same number of seeds and the same half-width as the array above."""
    generator = np.random.default_rng(3)
    rule = Width(limits=Limits(initial=5, max_seeds=40), half_width=0.5)
    for _ in range(60):
        values = generator.normal(20.0, size=200)
        (decision,), (item,) = run(rule, [iter(values)])
        std = values[:5].std(ddof=1)
        t = stats.t.ppf(0.975, 4)
        total = int(min(max(5, math.ceil((t * std / 0.5) ** 2)), 40))
        assert item.tried == total
        assert decision.low is not None
        assert decision.high is not None
        assert decision.low == pytest.approx(values[:total].mean() - t * std / math.sqrt(total))
        assert decision.high - decision.low <= 1.0 + 1e-9 or "budget spent" in decision.reason


def test_how_the_naive_rule_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """Adding seeds until the t-interval looks narrow covers 0.90 to 0.93 where 0.95 is said; 20,000 sweeps."""
    values = np.random.default_rng(41).normal(size=(SWEEPS, 80))
    counts = np.arange(1, 81)
    means = np.cumsum(values, axis=1) / counts
    squares = np.cumsum(values**2, axis=1) - counts * means**2
    half = stats.t.ppf(0.975, np.maximum(counts - 1, 1)) * np.sqrt(
        np.maximum(squares, 0) / np.maximum(counts - 1, 1) / counts
    )
    figures = {}
    for start in (3, 5):
        for wanted in (0.6, 1.0):
            stopped = np.argmax((half < wanted) & (counts >= start), axis=1)
            rows = np.arange(SWEEPS)
            figures[start, wanted] = float(np.mean(np.abs(means[rows, stopped]) <= half[rows, stopped]))
    with capsys.disabled():
        shown = ", ".join(
            f"{value:.3f} (from {start} seeds to ± {w:g} sd)" for (start, w), value in figures.items()
        )
        print(f"\nnaive rule, 95 % said, covers: {shown}")
    assert all(value < 0.95 - ERROR for value in figures.values())
    assert min(figures.values()) < 0.91


# ---------------------------------------------------------------------- difference: anytime-valid


def simulate_difference(
    generator: np.random.Generator, shift: float, others: int, rule: str
) -> tuple[float, float]:
    """The share of sweeps with any decision, and with any wrong one, looking after 5, 10, …, 50 seeds."""
    base = generator.normal(size=(SWEEPS // 2, 1, 50))
    values = generator.normal(size=(SWEEPS // 2, others, 50)) + shift
    differences = values - base
    counts = np.arange(1, 51)
    means = np.cumsum(differences, axis=2) / counts
    stds = np.sqrt(
        np.maximum(np.cumsum(differences**2, axis=2) - counts * means**2, 0.0) / np.maximum(counts - 1, 1)
    )
    level = 1 - 0.05 / others
    if rule == "sequence":
        from repro_hydra.stats.sequence import t_sequence_factor

        factor = np.array([t_sequence_factor(int(n), confidence=level) for n in counts])
    else:
        factor = stats.t.ppf((1 + level) / 2, np.maximum(counts - 1, 1)) / np.sqrt(counts)
    looks = np.arange(4, 50, 5)
    # Before the factor is finite there is no interval; 0 · inf would be no number.
    decided = np.where(
        np.isfinite(factor[looks]),
        np.abs(means[..., looks]) > np.nan_to_num(factor[looks], posinf=0) * stds[..., looks],
        False,
    )
    signs = np.sign(means[..., looks])
    first = np.argmax(decided, axis=2)
    any_decided = decided.any(axis=2)
    sign = np.take_along_axis(signs, first[..., None], axis=2)[..., 0]
    wrong = any_decided & (sign != np.sign(shift))
    return float(any_decided.any(axis=1).mean()), float(wrong.any(axis=1).mean())


@pytest.mark.parametrize("others", [1, 3])
def test_difference_is_rarely_wrong(others: int, capsys: pytest.CaptureFixture[str]) -> None:
    """10,000 sweeps without a difference: at most 5 % find one; a t-test after each batch finds one in 20 %."""
    generator = np.random.default_rng(others)
    _, wrong = simulate_difference(generator, 0.0, others, "sequence")
    _, naive = simulate_difference(generator, 0.0, others, "t-test")
    with capsys.disabled():
        print(
            f"\n{others} comparison(s), none true: sequence decides {wrong:.3f}, t-test at each look {naive:.3f}"
        )
    assert wrong <= 0.05
    assert naive > 0.12


def test_difference_finds_what_is_there() -> None:
    """A difference of 1.5 standard deviations is found in nearly all of 10,000 sweeps, and its sign is right."""
    decided, wrong = simulate_difference(np.random.default_rng(5), 1.5, 1, "sequence")
    assert decided > 0.99
    assert wrong < 0.001


def test_difference_by_the_rule_itself() -> None:
    """The rule stops where the sequence first excludes zero, and the baseline with the last open comparison."""
    generator = np.random.default_rng(8)
    rule = Difference(limits=Limits(initial=5, max_seeds=50))
    base = generator.normal(size=60)
    far, near = base + 2.0 + 0.3 * generator.normal(size=60), base + 0.01 * generator.normal(size=60)
    decisions, items = run(rule, [iter(base), iter(far), iter(near)])
    assert decisions[1].reason.startswith("higher than the baseline")
    assert decisions[2].reason == "undecided: budget of 50 seeds spent"
    assert (items[1].tried, items[2].tried, items[0].tried) == (10, 50, 50)
    small = Difference(limits=Limits(initial=5, max_seeds=50), negligible=0.1)
    decisions, items = run(small, [iter(base), iter(near)])
    assert decisions[1].reason == "differs from the baseline by less than 0.1"
    assert items[1].tried < 50


def test_differences_without_a_spread_end_with_the_pilot() -> None:
    """A seed that moves both alike tells nothing about chance, and forty-five more would not either."""
    base = np.random.default_rng(9).normal(size=60)
    rule = Difference(limits=Limits(initial=5, max_seeds=50))
    decisions, items = run(rule, [iter(base), iter(base + 0.02)])
    assert decisions[1].reason.startswith("all 5 differences from the baseline are the same (0.02)")
    assert (decisions[1].low, items[1].tried, items[0].tried) == (None, 5, 5)


# ---------------------------------------------------------------------- what goes wrong


def test_budget_is_a_plain_interval() -> None:
    """A number fixed beforehand needs nothing better than Student's t."""
    values = [0.91, 0.95, 0.93]
    (decision,) = Budget(limits=Limits(initial=2, max_seeds=3)).decide([repeats(values)])
    assert decision.done
    assert decision.high == pytest.approx(0.93 + 4.302652729911275 * 0.02 / math.sqrt(3))
    assert not Budget(limits=Limits(initial=2, max_seeds=4)).decide([repeats(values)])[0].done


def test_failed_seeds_are_made_up_for_and_all_failed_is_the_end() -> None:
    """The pilot waits for as many values as it needs, unless there will never be any."""
    rule = Width(limits=Limits(initial=3, max_seeds=6), half_width=1.0)
    item = Repeats(label="a", values={0: 1.0, 2: 1.1}, failed={1})
    (decision,) = rule.decide([item])
    assert (decision.done, decision.more) == (False, 1)
    (decision,) = rule.decide([Repeats(label="a", failed={0, 1, 2})])
    assert decision.reason == "all of the first 3 seeds of a failed"
    (decision,) = rule.decide([Repeats(label="a", values={0: 1.0, 2: 1.1}, failed={1, 3, 4, 5})])
    assert decision.done
    assert "2 of 6 seeds of a completed" in decision.reason


@pytest.mark.parametrize(
    ("values", "words"),
    [([1.0, math.nan, 2.0], "no finite number"), ([1.0, 1.0, 1.0], "identical")],
)
def test_values_without_a_spread(values: list[float], words: str) -> None:
    """NaN and a seed that has no effect end the configuration with a reason, not with an interval."""
    rule = Width(limits=Limits(initial=3, max_seeds=9), half_width=0.1)
    (decision,) = rule.decide([repeats(values)])
    assert decision.done
    assert decision.low is None
    assert words in decision.reason


def test_a_width_relative_to_nothing() -> None:
    """A pilot whose mean is zero has no relative width."""
    rule = Width(limits=Limits(initial=2, max_seeds=9), relative=0.1)
    assert "relative" in rule.decide([repeats([-1.0, 1.0])])[0].reason


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "half_width=0.01"),
        ({"half_width": 0.1, "relative_half_width": 0.1}, "both"),
        ({"half_width": 0}, "positive"),
        ({"half_width": "small"}, "positive"),
        ({"half_width": 0.1, "rule": "stein"}, "one of width, difference, budget"),
        ({"rule": "budget", "half_width": 0.1}, "no half_width"),
        ({"rule": "budget", "initial": 1}, "at least 2"),
        ({"rule": "budget", "initial": 9, "max_seeds": 5}, "at most max_seeds"),
        ({"rule": "budget", "confidence": 95}, "between 0 and 1"),
        ({"rule": "budget", "max_jobs": 0}, "at least 1"),
        ({"rule": "budget", "metric": 3}, "a text"),
        ({"rule": "budget", "batch": True}, "whole number"),
        ({"rule": "difference", "negligible": -1}, "at least 0"),
    ],
)
def test_bad_options(options: dict[str, object], words: str) -> None:
    """Where, what was expected, what was found."""
    with pytest.raises(BadOption, match=r"hydra\.sweeper") as caught:
        SeedOptions.from_config(options)
    assert words in str(caught.value)
