"""The rules by which a sweep adds seeds and stops: values in, decisions out. No Hydra, no files.

Each decides from the values in the order of the seeds, never in the order in which jobs ended, so the decisions are
the same under every launcher.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(slots=True)
class Repeats:
    """One configuration and what its seeds gave so far."""

    label: str
    values: dict[int, float] = field(default_factory=dict)
    """Seed to value, of the jobs that completed."""
    failed: set[int] = field(default_factory=set)

    @property
    def tried(self) -> int:
        """How many seeds were run, failed ones included."""
        return len(self.values) + len(self.failed)

    def in_order(self) -> list[float]:
        """The values by seed."""
        return [self.values[seed] for seed in sorted(self.values)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a rule says of one configuration."""

    done: bool
    more: int = 0
    """Seeds still wanted, as far as can be said now."""
    low: float | None = None
    high: float | None = None
    """The interval that the rule vouches for, where it is done."""
    method: str = ""
    reason: str


class Rule(Protocol):
    """Decides, after each batch, on each configuration."""

    def decide(self, configurations: Sequence[Repeats]) -> list[Decision]:
        """One decision for each, in their order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What every rule keeps to."""

    initial: int
    """Seeds before the first decision."""
    max_seeds: int
    """Of one configuration, failed ones included."""

    def spent(self, item: Repeats) -> bool:
        """Whether no seed is left for it."""
        return item.tried >= self.max_seeds

    def hopeless(self, item: Repeats) -> bool:
        """Whether every one of the first seeds failed."""
        return not item.values and len(item.failed) >= self.initial


@dataclass(frozen=True, slots=True, kw_only=True)
class Width:
    """Stein's two stages: as many seeds as the first ones call for, for an interval of the wanted half-width.

    Exactly one of `half_width` and `relative` is given; `relative` is of the pilot's mean.
    """

    limits: Limits
    half_width: float | None = None
    relative: float | None = None
    confidence: float = 0.95

    def decide(self, configurations: Sequence[Repeats]) -> list[Decision]:
        return [self._decide(item) for item in configurations]

    def _decide(self, item: Repeats) -> Decision:
        from repro_hydra.stats.sample import mean_and_std, t_quantile
        from repro_hydra.stats.stein import stein_two_stage

        early = _before_the_pilot(item, self.limits)
        if early is not None:
            return early
        values = item.in_order()
        pilot = values[: self.limits.initial]
        pilot_mean, pilot_std = mean_and_std(pilot)
        wanted = self.half_width if self.relative is None else self.relative * abs(pilot_mean)
        if not wanted:
            return Decision(
                done=True, reason="the mean of the first seeds is 0: there is no width relative to it"
            )
        plan = stein_two_stage(pilot, half_width=wanted, confidence=self.confidence)
        if plan.n_total is None:
            return Decision(done=True, reason="; ".join(plan.notes))
        missing = plan.n_total - len(values)
        if missing > 0 and not self.limits.spent(item):
            return Decision(
                done=False,
                more=missing,
                reason=f"Stein's rule asks for {plan.n_total} seeds for ± {wanted:.3g}",
            )
        mean = mean_and_std(values)[0]
        # With the pilot's spread: exact at whatever n that spread has led to, the budget's end included.
        half = t_quantile(len(pilot) - 1, self.confidence) * pilot_std / math.sqrt(len(values))
        reached = (
            f"± {wanted:.3g} reached"
            if missing <= 0
            else (
                f"budget spent: {item.tried} of at most {self.limits.max_seeds} seeds run, and Stein's rule asks for "
                f"{plan.n_total} for ± {wanted:.3g}"
            )
        )
        return Decision(
            done=True, low=mean - half, high=mean + half, method="Stein two-stage", reason=reached
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Each configuration against the baseline, by an anytime-valid t-sequence of the differences seed by seed.

    Stopping at will keeps the probability of any wrong decision at most 1 - confidence for all comparisons
    together (Bonferroni).
    """

    limits: Limits
    baseline: int = 0
    confidence: float = 0.95
    effect: float = 1.0
    negligible: float = 0.0
    """A difference that is sure to be smaller than this is decided too."""

    def decide(self, configurations: Sequence[Repeats]) -> list[Decision]:
        base = configurations[self.baseline]
        count = max(1, len(configurations) - 1)
        level = 1.0 - (1.0 - self.confidence) / count
        decisions = [
            self._decide(item, base, level) if place != self.baseline else None
            for place, item in enumerate(configurations)
        ]
        open_ones = [decision for decision in decisions if decision is not None and not decision.done]
        more = max((decision.more for decision in open_ones), default=0)
        of_base = Decision(
            done=not open_ones, more=more, reason="the baseline: runs as long as a comparison is open"
        )
        return [of_base if decision is None else decision for decision in decisions]

    def _decide(self, item: Repeats, base: Repeats, level: float) -> Decision:
        from repro_hydra.stats.sample import is_rounding
        from repro_hydra.stats.sequence import t_sequence

        early = _before_the_pilot(item, self.limits) or _before_the_pilot(base, self.limits)
        if early is not None:
            return early
        shared = [seed for seed in sorted(item.values) if seed in base.values]
        differences = [item.values[seed] - base.values[seed] for seed in shared]
        values = [one.values[seed] for one in (item, base) for seed in shared]
        if len(shared) > 1 and is_rounding(max(differences) - min(differences), values):
            same = f"all {len(shared)} differences from the baseline are the same ({differences[0]:.3g})"
            return Decision(done=True, reason=f"{same}: without a spread no test tells them from chance")
        interval = t_sequence(differences, confidence=level, effect=self.effect)
        low, high = interval.low, interval.high
        if low is not None and high is not None:
            if low > 0.0 or high < 0.0:
                word = "higher" if low > 0.0 else "lower"
                reason = f"{word} than the baseline, decided after {len(shared)} seeds that both have"
                return Decision(done=True, low=low, high=high, method=interval.method, reason=reason)
            if -self.negligible < low and high < self.negligible:
                reason = f"differs from the baseline by less than {self.negligible:g}"
                return Decision(done=True, low=low, high=high, method=interval.method, reason=reason)
        if self.limits.spent(item) or self.limits.spent(base):
            return Decision(
                done=True,
                low=low,
                high=high,
                method=interval.method,
                reason=f"undecided: budget of {self.limits.max_seeds} seeds spent",
            )
        return Decision(done=False, more=1, reason=f"undecided after {len(shared)} seeds that both have")


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A fixed number of seeds for each configuration, whatever they give: the plain t-interval is exact then."""

    limits: Limits
    confidence: float = 0.95

    def decide(self, configurations: Sequence[Repeats]) -> list[Decision]:
        return [self._decide(item) for item in configurations]

    def _decide(self, item: Repeats) -> Decision:
        from repro_hydra.stats.intervals import mean_interval

        if not self.limits.spent(item):
            return Decision(
                done=False,
                more=self.limits.max_seeds - item.tried,
                reason=f"{item.tried} of {self.limits.max_seeds} seeds run",
            )
        interval = mean_interval(item.in_order(), confidence=self.confidence)
        return Decision(
            done=True,
            low=interval.low,
            high=interval.high,
            method=interval.method,
            reason="; ".join([f"{item.tried} seeds run", *interval.notes]),
        )


def _before_the_pilot(item: Repeats, limits: Limits) -> Decision | None:
    """What every rule says while the first seeds are not all there, or when they never will be."""
    broken = [seed for seed, value in sorted(item.values.items()) if not math.isfinite(value)]
    if broken:
        return Decision(
            done=True,
            reason=f"seed {broken[0]} of {item.label} gave no finite number: nothing can be computed",
        )
    missing = limits.initial - len(item.values)
    if missing <= 0:
        return None
    if limits.hopeless(item):
        return Decision(done=True, reason=f"all of the first {len(item.failed)} seeds of {item.label} failed")
    if limits.spent(item):
        return Decision(
            done=True,
            reason=f"budget spent: {len(item.values)} of {item.tried} seeds of {item.label} completed",
        )
    return Decision(done=False, more=missing, reason=f"{missing} of the first {limits.initial} seeds to go")
