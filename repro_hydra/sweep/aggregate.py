"""The aggregate: a row for each configuration and metric, the seeds as its repeats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from repro_hydra.record.where import Where
from repro_hydra.sweep.collect import collect
from repro_hydra.sweep.comparisons import UnknownBaseline, compare_with
from repro_hydra.sweep.document import Aggregate as Aggregate
from repro_hydra.sweep.document import AggregateRow as AggregateRow
from repro_hydra.sweep.document import LeftOut as LeftOut
from repro_hydra.sweep.document import Selection
from repro_hydra.sweep.facts import Collected
from repro_hydra.sweep.measuring import Options, Table, UnknownMetric, table_of


def aggregate(
    dirs: Iterable[Path],
    *,
    metrics: Sequence[str] | None = None,
    by: Sequence[str] | None = None,
    where: Where | None = None,
    baseline: str | None = None,
    worth_finding: float | None = None,
    steps: bool = False,
    upheld_only: bool = False,
    strict: bool = False,
    confidence: float = 0.95,
    bootstrap: int | None = None,
    trim: float | None = None,
    stability_threshold: float = 0.1,
    tolerance: float = 0.01,
    now: datetime | None = None,
    host: str | None = None,
) -> Aggregate:
    """Aggregate the runs below `dirs` over their seeds.

    Parameters
    ----------
    dirs : iterable of Path
        Run directories, sweep directories, or folders that hold some.
    metrics : sequence of str, optional
        Those to show, in this order; all of them if not given, the primary one first.
    by : sequence of str, optional
        Keys of the config that alone make a configuration. Runs that differ in other keys then share a row,
        with a note. A configuration is the whole config but for the seed if not given.
    where : Where, optional
        Which runs to take.
    baseline : str, optional
        The configuration to compare the others with: its name, or ``KEY=VALUE`` (several with commas).
    worth_finding : float, optional
        The smallest difference from the baseline that matters; the baseline's standard deviation if not given.
    steps : bool
        A row for each step of ``metrics.jsonl`` rather than for the final result.
    upheld_only : bool
        Leave out runs whose record does not say that the promise was upheld (by waiver included).
    strict : bool
        Refuse rows whose runs differ in code, data or environment, rather than warn.
    confidence : float
        Of the intervals, between 0 and 1.
    bootstrap : int, optional
        Resamples for bootstrap intervals of the mean and of the interquartile mean; none if not given.
    trim : float, optional
        Tell of each row also the trimmed mean with this share cut at each end, the tolerance interval and whether
        it is plainly not normal; none of these if not given.
    stability_threshold, tolerance : float
        As in `repro_hydra.stats.summary.summarize`.
    now, host : optional
        As in `repro_hydra.sweep.collect.collect`.

    Raises
    ------
    UnknownMetric, UnknownKey, UnknownBaseline, WhereError
        For a name that none of the runs has.
    NotRepeats
        Under `strict`.
    """
    options = Options(
        metrics=metrics,
        by=by,
        where=where,
        baseline=baseline,
        worth_finding=worth_finding,
        steps=steps,
        upheld_only=upheld_only,
        strict=strict,
        confidence=confidence,
        bootstrap=bootstrap,
        trim=trim,
        stability_threshold=stability_threshold,
        tolerance=tolerance,
    )
    return aggregate_collected(collect(dirs, where=where, now=now, host=host), options)


def aggregate_collected(collected: Collected, options: Options) -> Aggregate:
    """As `aggregate`, of runs that were read before."""
    return conclude(table_of(collected, options))


def conclude(table: Table) -> Aggregate:
    """What is said of a table: its rows or its curves, comparisons with the baseline, what it left out."""
    collected, options = table.collected, table.options
    left_out = [*table.left_out]
    left_out += [LeftOut(directory, reason) for directory, reason in collected.unusable.items()]
    comparisons = None
    if options.baseline is not None:
        if not table.measured:
            raise UnknownBaseline(f"--baseline {options.baseline}: there is no completed run with metrics")
        comparisons = compare_with(
            table.measured,
            options.baseline,
            confidence=options.confidence,
            worth_finding=options.worth_finding,
        )
    rows = table.rows
    if options.steps:
        from repro_hydra.sweep.steps import rows_of_steps

        rows = rows_of_steps(table.measured, table.maker, options.metrics, UnknownMetric)
    return Aggregate(
        rows, sorted(left_out, key=lambda item: item.dir), comparisons, _selection(collected, options.where)
    )


def _selection(collected: Collected, where: Where | None) -> Selection | None:
    if where is None:
        return None
    notes = []
    if where.outcomes and collected.count_not_selected:
        notes.append(
            f"--where selects by outcome ({', '.join(where.outcomes)}): what it keeps is no fair sample of the "
            "seeds, and no interval here says anything of the others"
        )
    return Selection(where.text, collected.count_not_selected, notes)
