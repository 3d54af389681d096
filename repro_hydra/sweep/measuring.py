"""Every configuration measured: which of its runs count, which metrics are shown, and the rows that come of them.

Runs that failed are counted and named and never averaged in; seeds that were planned and have no run are counted
as missing, so that a bad one which was deleted shows. The statistics are `repro_hydra.stats`'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from repro_hydra.record.values import from_json_number
from repro_hydra.record.where import Where
from repro_hydra.sweep.configuration import Leaves, varying_keys
from repro_hydra.sweep.document import Aggregate as Aggregate
from repro_hydra.sweep.document import AggregateRow as AggregateRow
from repro_hydra.sweep.document import LeftOut as LeftOut
from repro_hydra.sweep.facts import Collected, RunFacts
from repro_hydra.sweep.group import Group, Jobs, group_runs, runs_of_jobs
from repro_hydra.sweep.notes import differences_of_runs, notes_of_group
from repro_hydra.sweep.rows import Measured, RowMaker, by_seed

FAILED = ("failed", "interrupted", "preempted", "lost")


class UnknownMetric(ValueError):
    """A metric that was asked for and that no completed run has."""


class NotRepeats(ValueError):
    """Runs of one row that differ in code, data or environment, where that was to be refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `aggregate` is asked for; see there."""

    metrics: Sequence[str] | None = None
    by: Sequence[str] | None = None
    where: Where | None = None
    baseline: str | None = None
    worth_finding: float | None = None
    steps: bool = False
    upheld_only: bool = False
    strict: bool = False
    confidence: float = 0.95
    bootstrap: int | None = None
    trim: float | None = None
    stability_threshold: float = 0.1
    tolerance: float = 0.01


def table_of(collected: Collected, options: Options) -> Table:
    """Every configuration measured, and its rows, in their order."""
    groups = group_runs(collected, options.by)
    shown = _shown_configs(groups, options.by)
    order = sorted(range(len(groups)), key=lambda index: _sorting_key(shown[index]))
    table = Table(collected, options)
    for index in order:
        table.add(groups[index], shown[index])
    return table


def metric_names(collected: Collected) -> list[str]:
    """The metrics of the completed runs, the primary one first."""
    found = _recorded_metrics(collected)
    primary = [run.primary_metric for run in collected.runs if run.primary_metric]
    primary += [sweep.record.primary_metric for sweep in collected.sweeps if sweep.record.primary_metric]
    first = [name for name in dict.fromkeys(primary) if name in found or not found]
    return list(dict.fromkeys([*first, *found]))


def _recorded_metrics(collected: Collected) -> dict[str, None]:
    found: dict[str, None] = {}
    for run in collected.runs:
        for name, value in (run.result or {}).items():
            if name not in found and from_json_number(value) is not None:
                found[name] = None
    return found


def _chosen_metrics(collected: Collected, options: Options) -> list[str]:
    if not options.metrics or options.steps:
        return metric_names(collected)
    found = _recorded_metrics(collected)
    for name in options.metrics:
        if found and name not in found:
            raise UnknownMetric(f"--metric {name}: expected one of {', '.join(found)}")
    return list(dict.fromkeys(options.metrics))


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


class Table:
    """Configurations and rows as they are made."""

    def __init__(self, collected: Collected, options: Options) -> None:
        self.rows: list[AggregateRow] = []
        self.left_out: list[LeftOut] = []
        self.measured: list[Measured] = []
        self.maker = RowMaker(
            options.confidence,
            options.stability_threshold,
            options.tolerance,
            options.bootstrap,
            options.trim,
        )
        self.collected = collected
        self.options = options
        self._names = _chosen_metrics(collected, options)
        self._jobs: Jobs = runs_of_jobs(collected.runs)

    def add(self, group: Group, shown: Leaves) -> None:
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
        completed.sort(key=by_seed)
        if self.options.strict:
            self._refuse_differences(shown, completed)
        measured = Measured(
            config=shown,
            runs=completed,
            metrics=self._names,
            failed=failed,
            planned=group.planned,
            missing=None if group.planned is None else len(group.missing),
            notes=notes_of_group(group, self.collected),
        )
        self.measured.append(measured)
        self.rows += self.maker.rows(measured)

    def _refuse_differences(self, shown: Leaves, runs: Sequence[RunFacts]) -> None:
        from repro_hydra.sweep.wording import config_words

        differences = differences_of_runs(runs)
        if differences:
            raise NotRepeats(
                f"--strict: {config_words(shown)}: {'; '.join(differences)}. "
                "Aggregate them apart (--where, or one folder at a time), or without --strict"
            )

    def _why_left_out(self, run: RunFacts) -> str | None:
        if run.status in FAILED:
            return f"{run.status}: {run.error}" if run.error else run.status
        if run.status != "completed":
            return f"unfinished ({run.status})"
        if self.options.upheld_only and run.upheld not in ("yes", "waived"):
            return f"not upheld (upheld: {run.upheld})"
        if self.options.steps:
            return None  # `rows_of_steps` looks at its metrics itself
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
