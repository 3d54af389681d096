"""The rows of one configuration: its runs' values summarised, metric by metric."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from repro_hydra.record.values import from_json_number, to_json
from repro_hydra.sweep.configuration import Leaves
from repro_hydra.sweep.document import AggregateRow
from repro_hydra.sweep.facts import RunFacts
from repro_hydra.sweep.notes import notes_of_runs, only_seed

if TYPE_CHECKING:
    from repro_hydra.stats.intervals import Interval

Value = tuple[RunFacts, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One configuration: the completed runs, and the counts of those that are not."""

    config: Leaves
    runs: list[RunFacts]
    """Sorted by seed."""
    metrics: list[str]
    """All that the table shows, whether or not this configuration has them."""
    failed: int
    planned: int | None
    missing: int | None
    notes: list[str]

    def values(self, metric: str | None) -> list[Value]:
        """The runs that have `metric`, each with its value."""
        return [(run, value) for run in self.runs if (value := _number(run, metric)) is not None]


@dataclass(frozen=True, slots=True)
class RowMaker:
    """Makes rows, all with the same confidence and tolerances."""

    confidence: float
    stability_threshold: float
    tolerance: float
    bootstrap: int | None = None
    """Resamples for the bootstrap intervals; none are made if not given."""
    trim: float | None = None
    """Tell what `repro_hydra.sweep.besides` has, with this share trimmed; nothing of it if not given."""
    _notes: dict[tuple[int, ...], list[str]] = field(default_factory=dict)
    """Of the runs that stand in a row together: a curve has a row for each of a thousand steps."""

    def rows(self, measured: Measured) -> Iterator[AggregateRow]:
        """The rows of one configuration, one for each metric that it has."""
        names: Sequence[str | None] = measured.metrics or [None]
        for name in names:
            having = measured.values(name)
            # Without any run or metric there is something to tell only where something is amiss.
            if having or measured.failed or measured.missing:
                lacking = len(measured.runs) - len(having)
                notes = list(measured.notes)
                if lacking:
                    notes.append(f"{lacking} completed run{'s have' if lacking > 1 else ' has'} no {name}")
                yield self.row(measured, name, having, notes)

    def row(
        self,
        measured: Measured,
        name: str | None,
        having: Sequence[Value],
        notes: Sequence[str],
        step: int | None = None,
    ) -> AggregateRow:
        """One row."""
        # NumPy and SciPy: 0.3 s, and only where there are numbers
        from repro_hydra.stats.intervals import prediction_interval
        from repro_hydra.stats.summary import summarize

        values = [value for _, value in having]
        summary = summarize(
            values,
            confidence=self.confidence,
            stability_threshold=self.stability_threshold,
            tolerance=self.tolerance,
        )
        runs = [run for run, _ in having]
        alone = only_seed(runs)  # however alike its runs are, of other seeds they tell nothing
        one_more = prediction_interval(values, confidence=self.confidence)
        bootstrapped, notes_of_bootstrap = self._bootstrapped(values)
        besides, notes_besides = self._besides(values, summary.notes, one_more)
        return AggregateRow(
            config=measured.config,
            metric=name,
            n=len(having),
            planned=measured.planned,
            failed=measured.failed,
            missing=measured.missing,
            mean=summary.mean,
            std=summary.std,
            ci_low=summary.ci_low,
            ci_high=summary.ci_high,
            confidence=self.confidence,
            coefficient_of_variation=summary.coefficient_of_variation,
            coefficient_of_variation_corrected=summary.coefficient_of_variation_corrected,
            stable=summary.stable if alone is None else None,
            within_tolerance=summary.within_tolerance if alone is None else None,
            min=summary.min,
            median=summary.median,
            max=summary.max,
            seeds=[run.seed for run in runs],
            notes=[*summary.notes, *notes_of_bootstrap, *notes_besides, *notes, *self._notes_of(runs)],
            step=step,
            standard_error=summary.standard_error,
            q25=summary.q25,
            q75=summary.q75,
            coefficient_of_variation_low=summary.coefficient_of_variation_low,
            coefficient_of_variation_high=summary.coefficient_of_variation_high,
            prediction_low=one_more.low,
            prediction_high=one_more.high,
            values=[to_json(value) for value in values],
            **bootstrapped,
            **besides,
        )

    def _notes_of(self, runs: list[RunFacts]) -> list[str]:
        key = tuple(map(id, runs))  # all of them live as long as this does
        if key not in self._notes:
            self._notes[key] = notes_of_runs(runs)
        return self._notes[key]

    def _besides(
        self, values: list[float], known: Sequence[str], one_more: Interval
    ) -> tuple[dict[str, Any], list[str]]:
        if self.trim is None:
            return {}, []
        from repro_hydra.sweep.besides import besides

        found = asdict(besides(values, confidence=self.confidence, trim=self.trim, known=known))
        notes = [
            f"prediction interval: {why.removeprefix('no interval: ')}"
            for why in one_more.notes
            if why not in known
        ]
        return found, [*notes, *found.pop("notes")]

    def _bootstrapped(self, values: list[float]) -> tuple[dict[str, Any], list[str]]:
        if self.bootstrap is None:
            return {}, []
        from repro_hydra.stats.bootstrap import bootstrap_interval
        from repro_hydra.stats.robust import interquartile_mean, interquartile_means

        of_mean = bootstrap_interval(values, confidence=self.confidence, resamples=self.bootstrap)
        of_middle = bootstrap_interval(
            values, statistic=interquartile_means, confidence=self.confidence, resamples=self.bootstrap
        )
        found = {
            "bootstrap_low": of_mean.low,
            "bootstrap_high": of_mean.high,
            "interquartile_mean": interquartile_mean(values).value,
            "interquartile_mean_low": of_middle.low,
            "interquartile_mean_high": of_middle.high,
        }
        return found, list(dict.fromkeys([*of_mean.notes, *of_middle.notes]))


def _number(run: RunFacts, name: str | None) -> float | None:
    return None if name is None else from_json_number((run.result or {}).get(name))


def by_seed(run: RunFacts) -> tuple[bool, float, str, str]:
    """A key to sort runs by: numeric seeds first, by size."""
    is_number = isinstance(run.seed, (int, float))
    return (not is_number, float(run.seed) if is_number else 0.0, str(run.seed), run.dir)
