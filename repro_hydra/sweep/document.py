"""What an aggregate is: rows, comparisons, what was left out. The document of ``repro-hydra aggregate --json``."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from repro_hydra.record.schema import JSON
from repro_hydra.sweep.configuration import Leaves


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateRow:
    """One configuration and one metric; what is undefined is None, and `notes` says why."""

    config: Leaves
    """The keys that differ among the rows, and those that were asked for."""
    metric: str | None
    """None where no run of any configuration tells which there are."""
    n: int
    """Completed runs that have the metric."""
    planned: int | None
    """Jobs that a sweep planned for this configuration; None where no sweep says."""
    failed: int
    missing: int | None
    """Planned jobs that left no record and are not known to have failed."""
    mean: float | None
    std: float | None
    """With the divisor n - 1."""
    ci_low: float | None
    ci_high: float | None
    confidence: float
    coefficient_of_variation: float | None
    coefficient_of_variation_corrected: float | None
    stable: bool | None
    within_tolerance: bool | None
    min: float | None
    median: float | None
    max: float | None
    seeds: list[JSON]
    notes: list[str]
    step: int | None = None
    """Of a curve; None for a final result."""
    standard_error: float | None = None
    q25: float | None = None
    q75: float | None = None
    coefficient_of_variation_low: float | None = None
    coefficient_of_variation_high: float | None = None
    prediction_low: float | None = None
    """With `prediction_high`: where the value of one more seed is expected; from five seeds up."""
    prediction_high: float | None = None
    bootstrap_low: float | None = None
    """With `bootstrap_high`: the BCa bootstrap interval of the mean, where it was asked for."""
    bootstrap_high: float | None = None
    interquartile_mean: float | None = None
    interquartile_mean_low: float | None = None
    """With `interquartile_mean_high`: its BCa bootstrap interval, where it was asked for."""
    interquartile_mean_high: float | None = None
    trimmed_mean: float | None = None
    """This and the rest below are told where asked for (`repro_hydra.sweep.besides`), and always in json and csv."""
    trimmed_share: float | None = None
    """Cut at each end."""
    tolerance_low: float | None = None
    """With `tolerance_high`: where the share `tolerance_coverage` of all seeds lies, at `confidence`."""
    tolerance_high: float | None = None
    tolerance_coverage: float | None = None
    plainly_not_normal: bool | None = None
    """Whether the seeds' values are plainly not of a normal distribution; that they are, no test can say."""
    normality_p_value: float | None = None
    """Of Shapiro and Wilk's test."""
    values: list[JSON] = field(default_factory=list)
    """One a seed, in the order of `seeds`; NaN and infinities by name."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A run that is in no row's numbers, and why."""

    dir: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One configuration against the baseline, in one metric; what is undefined is None, and `notes` says why."""

    metric: str
    config: Leaves
    baseline: Leaves
    difference: float | None
    """Mean of the configuration minus mean of the baseline."""
    ci_low: float | None
    ci_high: float | None
    confidence: float
    method: str
    n: int
    n_baseline: int
    p_value: float | None
    p_value_holm: float | None
    """After Holm's correction over the comparisons of this metric."""
    compared: int
    """How many comparisons the correction is over."""
    decided: bool | None
    """Whether `p_value_holm` is at most 1 - confidence; None where there is no test."""
    effect_size: float | None
    effect_size_low: float | None
    effect_size_high: float | None
    probability_of_improvement: float | None
    probability_of_improvement_low: float | None
    probability_of_improvement_high: float | None
    more_seeds: int | None
    """Seeds that each would need on top to find `worth_finding` with a power of 80 %."""
    worth_finding: float | None
    sentence: str
    notes: list[str]


@dataclass(frozen=True, slots=True)
class Selection:
    """What ``--where`` kept."""

    where: str
    not_selected: int
    notes: list[str]


@dataclass(frozen=True, slots=True)
class Aggregate:
    """What `repro-hydra aggregate` prints."""

    rows: list[AggregateRow] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    comparisons: list[Comparison] | None = None
    """None where no baseline was asked for."""
    selection: Selection | None = None
    """None where nothing was selected by an expression."""

    @property
    def is_empty(self) -> bool:
        """Whether no completed run is in any row."""
        return not any(row.n for row in self.rows)

    def to_json(self) -> dict[str, JSON]:
        """The document that ``--json`` prints."""
        document: dict[str, JSON] = {
            "rows": [_as_dict(row) for row in self.rows],
            "left_out": [_as_dict(item) for item in self.left_out],
        }
        if self.comparisons is not None:
            document["comparisons"] = [_as_dict(item) for item in self.comparisons]
        if self.selection is not None:
            document["selection"] = _as_dict(self.selection)
        return document


def _as_dict(value: AggregateRow | LeftOut | Comparison | Selection) -> dict[str, JSON]:
    return {item.name: getattr(value, item.name) for item in fields(value)}
