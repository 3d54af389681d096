"""The aggregate: a row for each configuration and metric, the seeds as its repeats.

Runs that failed are counted and named and never averaged in; seeds that were planned and have no run are counted
as missing, so that a bad one which was deleted shows. The statistics are `repro_hydra.stats`'.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path

from repro_hydra.record.schema import JSON
from repro_hydra.record.values import from_json_number
from repro_hydra.sweep.collect import Collected, RunFacts, collect
from repro_hydra.sweep.configuration import Leaves, varying_keys
from repro_hydra.sweep.group import Group, Jobs, group_runs, runs_of_jobs
from repro_hydra.sweep.notes import notes_of_group, notes_of_runs

FAILED = ("failed", "interrupted", "preempted", "lost")


class UnknownMetric(ValueError):
    """A metric that was asked for and that no completed run has."""


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


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A run that is in no row's numbers, and why."""

    dir: str
    reason: str


@dataclass(frozen=True, slots=True)
class Aggregate:
    """What `repro-hydra aggregate` prints."""

    rows: list[AggregateRow] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether no completed run is in any row."""
        return not any(row.n for row in self.rows)

    def to_json(self) -> dict[str, JSON]:
        """The document that ``--json`` prints."""
        return {
            "rows": [_as_dict(row) for row in self.rows],
            "left_out": [_as_dict(item) for item in self.left_out],
        }


def _as_dict(value: AggregateRow | LeftOut) -> dict[str, JSON]:
    return {item.name: getattr(value, item.name) for item in fields(value)}


def aggregate(
    dirs: Iterable[Path],
    *,
    metrics: Sequence[str] | None = None,
    by: Sequence[str] | None = None,
    confidence: float = 0.95,
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
    confidence : float
        Of the intervals, between 0 and 1.
    stability_threshold, tolerance : float
        As in `repro_hydra.stats.summary.summarize`.
    now, host : optional
        As in `repro_hydra.sweep.collect.collect`.

    Raises
    ------
    UnknownMetric, UnknownKey
        For a name that none of the runs has.
    """
    collected = collect(dirs, now=now, host=host)
    groups = group_runs(collected, by)
    names = _metric_names(collected, metrics)
    table = _Table(names, runs_of_jobs(collected.runs), confidence, stability_threshold, tolerance)
    shown = _shown_configs(groups, by)
    order = sorted(range(len(groups)), key=lambda index: _sorting_key(shown[index]))
    for index in order:
        table.add(groups[index], shown[index], collected)
    table.left_out += [LeftOut(directory, reason) for directory, reason in collected.unusable.items()]
    return Aggregate(table.rows, sorted(table.left_out, key=lambda item: item.dir))


def _metric_names(collected: Collected, wanted: Sequence[str] | None) -> list[str]:
    found: dict[str, None] = {}
    for run in collected.runs:
        for name, value in (run.result or {}).items():
            if from_json_number(value) is not None:
                found[name] = None
    if wanted:
        for name in wanted:
            if found and name not in found:
                raise UnknownMetric(f"--metric {name}: expected one of {', '.join(found)}")
        return list(dict.fromkeys(wanted))
    primary = [run.primary_metric for run in collected.runs if run.primary_metric]
    primary += [sweep.record.primary_metric for sweep in collected.sweeps if sweep.record.primary_metric]
    first = [name for name in dict.fromkeys(primary) if name in found or not found]
    return list(dict.fromkeys([*first, *found]))


def _shown_configs(groups: Sequence[Group], by: Sequence[str] | None) -> list[Leaves]:
    """For each group the leaves to show: all of them under `by`, else those that differ."""
    if by:
        return [group.leaves for group in groups]
    varying = varying_keys([group.leaves for group in groups if not group.from_overrides])
    return [
        # Overrides name groups of the config where leaves name values: no key of one need be in the other.
        group.leaves
        if group.from_overrides
        else {key: group.leaves[key] for key in varying if key in group.leaves}
        for group in groups
    ]


def _sorting_key(leaves: Leaves) -> list[tuple[str, int, float, str]]:
    return [
        (key, 0, float(value), "")
        if isinstance(value, (int, float)) and not isinstance(value, bool)
        else (key, 1, 0.0, str(value))
        for key, value in leaves.items()
    ]


class _Table:
    """Rows as they are made."""

    def __init__(
        self, names: list[str], jobs: Jobs, confidence: float, stability_threshold: float, tolerance: float
    ) -> None:
        self.rows: list[AggregateRow] = []
        self.left_out: list[LeftOut] = []
        self._names = names
        self._jobs = jobs
        self._confidence = confidence
        self._stability_threshold = stability_threshold
        self._tolerance = tolerance

    def add(self, group: Group, shown: Leaves, collected: Collected) -> None:
        """The rows of one configuration, and what of it is left out."""
        failed = len(group.failed_unrecorded)
        completed: list[RunFacts] = []
        for run in group.runs:
            reason = self._why_left_out(run)
            if reason is None:
                completed.append(run)
                continue
            again = run.status != "completed" and self._completed_since(run)
            if run.status in FAILED and not again:
                failed += 1
            self.left_out.append(LeftOut(run.dir, f"{reason} (run again since)" if again else reason))
        for sweep, job in group.failed_unrecorded:
            where = f"{sweep.dir}/{job.dir}" if job.dir else sweep.dir
            self.left_out.append(LeftOut(where, f"failed (job {job.num}), and left no record"))
        completed.sort(key=_by_seed)
        notes = notes_of_group(group, collected)
        names: Sequence[str | None] = self._names or [None]
        for name in names:
            having = [(run, value) for run in completed if (value := _number(run, name)) is not None]
            # Without any run or metric there is something to tell only where something is amiss.
            if having or failed or group.missing:
                lacking = len(completed) - len(having)
                self.rows.append(self._row(group, shown, name, having, failed, lacking, notes))

    def _row(
        self,
        group: Group,
        shown: Leaves,
        name: str | None,
        having: Sequence[tuple[RunFacts, float]],
        failed: int,
        lacking: int,
        notes: list[str],
    ) -> AggregateRow:
        from repro_hydra.stats.summary import (
            summarize,
        )  # NumPy and SciPy: 0.3 s, and only where there are numbers

        summary = summarize(
            [value for _, value in having],
            confidence=self._confidence,
            stability_threshold=self._stability_threshold,
            tolerance=self._tolerance,
        )
        own = list(notes)
        if lacking:
            own.append(f"{lacking} completed run{'s have' if lacking > 1 else ' has'} no {name}")
        runs = [run for run, _ in having]
        return AggregateRow(
            config=shown,
            metric=name,
            n=len(having),
            planned=group.planned,
            failed=failed,
            missing=None if group.planned is None else len(group.missing),
            mean=summary.mean,
            std=summary.std,
            ci_low=summary.ci_low,
            ci_high=summary.ci_high,
            confidence=self._confidence,
            coefficient_of_variation=summary.coefficient_of_variation,
            coefficient_of_variation_corrected=summary.coefficient_of_variation_corrected,
            stable=summary.stable,
            within_tolerance=summary.within_tolerance,
            min=summary.min,
            median=summary.median,
            max=summary.max,
            seeds=[run.seed for run in runs],
            notes=[*summary.notes, *own, *notes_of_runs(runs)],
        )

    def _why_left_out(self, run: RunFacts) -> str | None:
        if run.status in FAILED:
            return f"{run.status}: {run.error}" if run.error else run.status
        if run.status != "completed":
            return f"unfinished ({run.status})"
        if run.problem is not None:
            return run.problem
        names = [name for name, value in (run.result or {}).items() if from_json_number(value) is not None]
        if not names:
            return "no metrics" if run.result is not None else "no metrics (it left no result.json)"
        if not set(names) & set(self._names):
            return f"none of the metrics asked for (it has {', '.join(names)})"
        return None

    def _completed_since(self, run: RunFacts) -> bool:
        """Whether the same job of the same sweep was run again and completed."""
        if run.sweep_id is None or run.job_num is None:
            return False
        return any(other.status == "completed" for other in self._jobs[run.sweep_id, run.job_num])


def _number(run: RunFacts, name: str | None) -> float | None:
    return None if name is None else from_json_number((run.result or {}).get(name))


def _by_seed(run: RunFacts) -> tuple[bool, float, str, str]:
    is_number = isinstance(run.seed, (int, float))
    return (not is_number, float(run.seed) if is_number else 0.0, str(run.seed), run.dir)
