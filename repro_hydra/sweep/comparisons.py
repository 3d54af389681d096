"""Every configuration against the baseline: paired by seed where the seeds are shared, corrected for their number."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from repro_hydra.sweep.configuration import Leaves
from repro_hydra.sweep.document import Comparison
from repro_hydra.sweep.rows import Measured
from repro_hydra.sweep.wording import as_written, config_words, number, rounded_to

if TYPE_CHECKING:
    from repro_hydra.stats.compare import Difference

_POWER = 0.8


class UnknownBaseline(ValueError):
    """A baseline that names no configuration, or several."""


def find_baseline(configurations: Sequence[Measured], wanted: str) -> Measured:
    """The configuration that `wanted` names.

    Parameters
    ----------
    configurations : sequence of Measured
        All of them.
    wanted : str
        As a table shows it (``model=conv lr=0.1``); some of its keys, joined by commas, that tell it from the
        others; the value of one key; or the name that its runs have in common.

    Raises
    ------
    UnknownBaseline
        For none or several.
    """
    tests: tuple[Callable[[Measured], bool], ...] = (
        lambda item: config_words(item.config) == wanted,
        lambda item: _has_all(item.config, wanted),
        lambda item: wanted in map(as_written, item.config.values()),
        lambda item: bool(item.runs) and {run.name for run in item.runs} == {wanted},
    )
    several: list[Measured] = []
    for test in tests:
        found = [item for item in configurations if test(item)]
        if len(found) == 1:
            return found[0]
        several = several or found
    shown = several or list(configurations)
    names = "; ".join(config_words(item.config) for item in shown[:20])
    more = f"; and {len(shown) - 20} more" if len(shown) > 20 else ""
    problem = f"{len(several)} configurations fit" if several else "no configuration fits"
    raise UnknownBaseline(f"--baseline {wanted}: {problem}. Expected one of: {names}{more}")


def _has_all(config: Leaves, wanted: str) -> bool:
    pairs = [item.partition("=") for item in wanted.replace(" ", ",").split(",") if item]
    shown = {key: as_written(value) for key, value in config.items()}
    return bool(pairs) and all(sign and shown.get(key) == value for key, sign, value in pairs)


def compare_with(
    configurations: Sequence[Measured], wanted: str, *, confidence: float, worth_finding: float | None = None
) -> list[Comparison]:
    """Compare each configuration with the one that `wanted` names, in each metric that both have.

    Parameters
    ----------
    configurations : sequence of Measured
        The baseline among them.
    wanted : str
        As in `find_baseline`.
    confidence : float
        Of the intervals (one by one), and of all findings of one metric together (Holm).
    worth_finding : float, optional
        The difference for which "how many more seeds" is answered; the baseline's standard deviation if not
        given. Never the observed difference, which would only say the p-value again.
    """
    baseline = find_baseline(configurations, wanted)
    others = [item for item in configurations if item is not baseline]
    comparisons: list[Comparison] = []
    for metric in baseline.metrics:
        made = [_compare(item, baseline, metric, confidence, worth_finding) for item in others]
        comparisons += _corrected([item for item in made if item is not None])
    return comparisons


def compare_pairs(
    configurations: Sequence[Measured],
    metric: str,
    *,
    confidence: float,
    worth_finding: float | None = None,
) -> list[Comparison]:
    """Compare each configuration with each that comes before it, in one metric; as `compare_with` else.

    Holm's correction is over all the pairs.
    """
    pairs = [
        _compare(item, other, metric, confidence, worth_finding)
        for place, item in enumerate(configurations)
        for other in configurations[:place]
    ]
    return _corrected([item for item in pairs if item is not None])


def _corrected(made: Sequence[Comparison]) -> list[Comparison]:
    from repro_hydra.stats.compare import holm

    tested = [item for item in made if item.p_value is not None]
    adjusted = dict(zip(map(id, tested), holm([item.p_value or 0.0 for item in tested]), strict=True))
    return [_concluded(item, adjusted.get(id(item)), len(tested)) for item in made]


def _compare(
    item: Measured, baseline: Measured, metric: str, confidence: float, worth_finding: float | None
) -> Comparison | None:
    from repro_hydra.stats.effect import hedges_g, probability_of_improvement
    from repro_hydra.stats.pairing import compare_by_seed, pair_by_seed

    one, notes_one = _by_seed(item, metric)
    other, notes_other = _by_seed(baseline, metric)
    if not one or not other:
        return None
    difference = compare_by_seed(one, other, confidence=confidence)
    paired = difference.method == "paired t"
    pairs = pair_by_seed(one, other)
    a, b = (pairs.a, pairs.b) if paired else (tuple(one.values()), tuple(other.values()))
    effect = hedges_g(a, b, paired=paired, confidence=confidence)
    chance = probability_of_improvement(list(one.values()), list(other.values()), confidence=confidence)
    worth, more = _seeds_needed(difference, a, b, confidence, worth_finding)
    return Comparison(
        metric=metric,
        config=item.config,
        baseline=baseline.config,
        difference=difference.difference,
        ci_low=difference.ci_low,
        ci_high=difference.ci_high,
        confidence=confidence,
        method=difference.method,
        n=difference.n_a,
        n_baseline=difference.n_b,
        p_value=difference.p_value,
        p_value_holm=None,
        compared=0,
        decided=None,
        effect_size=effect.value,
        effect_size_low=effect.low,
        effect_size_high=effect.high,
        probability_of_improvement=chance.value,
        probability_of_improvement_low=chance.low,
        probability_of_improvement_high=chance.high,
        more_seeds=more,
        worth_finding=worth,
        sentence="",
        notes=[*difference.notes, *notes_one, *notes_other],
    )


def _by_seed(item: Measured, metric: str) -> tuple[dict[Hashable, float], list[str]]:
    values: dict[Hashable, float] = {}
    again = 0
    for run, value in item.values(metric):
        seed: Hashable = run.seed if isinstance(run.seed, (int, float, str)) else ("run", run.run_id)
        again += seed in values
        values.setdefault(seed, value)
    if not again:
        return values, []
    runs = "run" if again == 1 else "runs"
    return values, [f"{config_words(item.config)}: {again} {runs} of a seed that is there already left out"]


def _seeds_needed(
    difference: Difference,
    a: Sequence[float],
    b: Sequence[float],
    confidence: float,
    worth_finding: float | None,
) -> tuple[float | None, int | None]:
    from repro_hydra.stats.power import seeds_for_difference
    from repro_hydra.stats.sample import mean_and_std

    if difference.p_value is None:
        return worth_finding, None
    paired = difference.method == "paired t"
    worth = worth_finding or float(f"{mean_and_std(b)[1]:.1g}")
    if worth <= 0:
        return None, None
    spread = (
        [x - y for x, y in zip(a, b, strict=True)] if paired else max(a, b, key=lambda s: mean_and_std(s)[1])
    )
    needed = seeds_for_difference(
        spread, difference=worth, paired=paired, power=_POWER, confidence=confidence
    ).n
    return worth, None if needed is None else max(0, needed - min(difference.n_a, difference.n_b))


def _concluded(item: Comparison, adjusted: float | None, compared: int) -> Comparison:
    decided = None if adjusted is None else adjusted <= 1.0 - item.confidence
    item = replace(item, p_value_holm=adjusted, compared=compared, decided=decided)
    return replace(item, sentence=_sentence(item))


def _sentence(item: Comparison) -> str:
    """The comparison as one plain sentence."""
    one, other = config_words(item.config), config_words(item.baseline)
    difference, low, high = item.difference, item.ci_low, item.ci_high
    if difference is None or low is None or high is None or item.p_value_holm is None:
        reason = item.notes[0] if item.notes else "no test"
        return f"{item.metric}: {one} and {other} cannot be compared: {reason}"
    half = (high - low) / 2.0
    seeds = (
        f"paired over {item.n} seeds"
        if item.method == "paired t"
        else f"Welch, {item.n} and {item.n_baseline} seeds"
    )
    p_value = f"p = {number(item.p_value_holm, 2)}"
    if item.compared > 1:
        p_value += f" after Holm over {item.compared}"
    level = f"{item.confidence * 100:g} % interval"
    if item.decided and difference < 0:
        low, high = -high, -low  # "lower by" turns the sign
    within = f"({level} {rounded_to(low, half)} to {rounded_to(high, half)}, {seeds}, {p_value})"
    if item.decided:
        direction = "higher" if difference > 0 else "lower"
        return f"{item.metric}: {one} is {direction} than {other} by {rounded_to(abs(difference), half)} {within}"
    text = f"{item.metric}: undecided: {one} minus {other} is {rounded_to(difference, half)} {within}"
    if item.worth_finding is None or item.more_seeds is None:
        return text
    worth = number(item.worth_finding, 3)
    if item.more_seeds == 0:
        return (
            f"{text}; a difference of {worth} would have been found in {_POWER * 100:g} % of such experiments"
        )
    seed = "seed" if item.more_seeds == 1 else "seeds"
    return f"{text}; about {item.more_seeds} more {seed} of each would tell a difference of {worth}"
