"""Performance profiles of a report: methods over tasks, on one scale or not at all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from repro_hydra.record.values import from_json_number
from repro_hydra.report.figure_style import LARGEST_DRAWN
from repro_hydra.stats.intervals import Interval
from repro_hydra.stats.profile import (
    PerformanceProfile,
    interquartile_mean_interval,
    performance_profile,
)
from repro_hydra.stats.robust import interquartile_mean
from repro_hydra.sweep.configuration import Leaves, narrow
from repro_hydra.sweep.document import AggregateRow
from repro_hydra.sweep.group import UnknownKey
from repro_hydra.sweep.wording import as_written, config_words, number

MOST_METHODS = 24
_THRESHOLDS = 81
_ALIKE = 10.0
"""Tasks whose largest values differ by more than this factor are not taken to be on one scale."""

Scores = dict[str, dict[str, list[float]]]
"""Method to task to the values of its seeds."""


@dataclass(frozen=True, slots=True)
class Tasks:
    """What tells tasks apart, and their scales.

    Attributes
    ----------
    key : str or None
        Of the config; None where there is one task.
    ranges : mapping
        Task to the values that count as 0 and as 1 (of a random and of a perfect player, say); the second may be
        the smaller one, where lower is better. Empty where the values are on one scale as they are.
    only : str or None
        The one task that all runs are of, whose name no row tells: it is what they have in common.
    """

    key: str | None = None
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    only: str | None = None

    def of(self, configurations: Sequence[Leaves], by: Sequence[str] | None = None) -> Tasks:
        """These tasks as the runs have them; what the runs do not have is refused.

        Parameters
        ----------
        configurations : sequence of Leaves
            The runs' whole configs.
        by : sequence of str, optional
            The keys that alone make a configuration; all others are lost in its rows.

        Raises
        ------
        UnknownKey
            For a key that no config has, a range of a task that is not there, tasks of which some have a range and
            some have none, and ranges of tasks that `by` does not tell apart.
        """
        if self.key is None:
            return self
        found = {as_written(leaves[self.key]) for leaves in configurations if self.key in leaves}
        if not found:
            raise UnknownKey(f"--task {self.key}: expected a key of the runs' configs, found it in none")
        for name in self.ranges:
            if name not in found:
                raise UnknownKey(f"--task-range {name}: expected one of {', '.join(sorted(found))}")
        lacking = sorted(found - set(self.ranges))
        if self.ranges and lacking:
            raise UnknownKey(
                f"--task-range: expected one for each task, found none for {', '.join(lacking)}. "
                f"Add: --task-range {lacking[0]}=LOW:HIGH"
            )
        if len(found) == 1 and all(self.key in leaves for leaves in configurations):
            return replace(self, only=found.pop())
        if self.ranges and by and not any(self.key in narrow(leaves, by) for leaves in configurations):
            raise UnknownKey(
                f"--by {','.join(by)}: expected --task {self.key} among them, since each --task-range is of one task, "
                f"found it in none. Add: --by {self.key}"
            )
        return self

    def name_of(self, config: Leaves) -> str:
        """The task that a row is of; empty where it does not say and no range depends on it.

        Raises
        ------
        UnknownKey
            Where one does.
        """
        if self.key is None:
            return ""
        if self.key in config:
            return as_written(config[self.key])
        if self.ranges and self.only is None:
            raise UnknownKey(
                f"--task-range: expected the key {self.key} in each run's config, found none in "
                f"{config_words(config) or 'that of some'}. Leave those runs out by --where"
            )
        return self.only or ""

    def normalised(self, task: str, values: Sequence[float]) -> list[float]:
        """The values on the common scale.

        Raises
        ------
        UnknownKey
            There are ranges, and none for `task`.
        """
        if not self.ranges:
            return list(values)
        if task not in self.ranges:
            raise UnknownKey(f"--task-range: expected one for each task, found none for {task}")
        low, high = self.ranges[task]
        return [(value - low) / (high - low) for value in values]


@dataclass(frozen=True, slots=True)
class Middle:
    """The interquartile mean of all runs of all tasks of one method, each task's runs drawn anew among themselves."""

    label: str
    value: float | None
    interval: Interval


@dataclass(frozen=True, slots=True)
class Profile:
    """Performance profiles of several methods in one metric."""

    metric: str
    tasks: list[str]
    """Empty where there is one task: the seeds of each configuration alone."""
    named: list[tuple[str, PerformanceProfile]]
    normalised: bool = False
    middles: list[Middle] = field(default_factory=list)
    """Over all tasks together, one a method; empty where there is one task."""

    @property
    def axis(self) -> str:
        """What the thresholds are values of."""
        return f"{self.metric}, normalised" if self.normalised else self.metric


def profiles_of(
    rows: Sequence[AggregateRow], metrics: Sequence[str], tasks: Tasks, confidence: float, cut: list[str]
) -> list[Profile]:
    """The profiles of those metrics that have one; why others have none is added to `cut`.

    Raises
    ------
    UnknownKey
        A row does not say which task it is of, and the range depends on it.

    Notes
    -----
    A share of runs above a threshold, averaged over tasks, means something only where a value means the same on each
    task: rliable asks for normalised scores (Agarwal et al., NeurIPS 2021, section 2). Here values are normalised by
    `tasks.ranges`, or taken as they are where they are of one order of magnitude, and else there is no profile.
    """
    found = []
    for metric in metrics:
        of_metric = [row for row in rows if row.metric == metric and row.n]
        scores, names = _scores(of_metric, tasks)
        whole = {label: of for label, of in scores.items() if len(of) == len(names)}
        if len(whole) < len(scores):
            cut.append(f"{len(scores) - len(whole)} methods lack a task, and have no profile in {metric}.")
        if not whole or (tasks.key is None and (len(whole) < 2 or max(row.n for row in of_metric) < 2)):
            continue
        unlike = None if tasks.ranges else _unlike(whole)
        if unlike is not None:
            cut.append(f"{metric}: no performance profile over the tasks: {unlike}")
            continue
        thresholds = _thresholds([value for of in whole.values() for some in of.values() for value in some])
        if not thresholds:
            continue
        named = [
            (label, performance_profile(list(of.values()), thresholds=thresholds, confidence=confidence))
            for label, of in list(whole.items())[:MOST_METHODS]
        ]
        if len(named) < len(whole):
            cut.append(f"Profiles in {metric} are of the first {len(named)} of {len(whole)} methods.")
        drawable = [(label, profile) for label, profile in named if profile.share]
        if drawable:
            shown = names if tasks.key is not None else []
            middles = [
                _middle(label, list(whole[label].values()), confidence) for label, _ in drawable if shown
            ]
            found.append(Profile(metric, shown, drawable, bool(tasks.ranges), middles))
    return found


def _middle(label: str, tasks: Sequence[Sequence[float]], confidence: float) -> Middle:
    value = interquartile_mean([value for values in tasks for value in values]).value
    return Middle(label, value, interquartile_mean_interval(tasks, confidence=confidence))


def _scores(rows: Sequence[AggregateRow], tasks: Tasks) -> tuple[Scores, list[str]]:
    scores: Scores = {}
    for row in rows:
        rest: Leaves = {key: value for key, value in row.config.items() if key != tasks.key}
        name = tasks.name_of(row.config)
        values = [value for item in row.values if (value := from_json_number(item)) is not None]
        of = scores.setdefault(config_words(rest), {})
        of.setdefault(name, []).extend(tasks.normalised(name, values))
    return scores, sorted({name for of in scores.values() for name in of})


def _unlike(scores: Scores) -> str | None:
    """Why the tasks' values are not on one scale, as far as their size tells; None where it does not."""
    largest: dict[str, float] = {}
    for of in scores.values():
        for task, values in of.items():
            largest[task] = max(
                [largest.get(task, 0.0), *(abs(value) for value in values if math.isfinite(value))]
            )
    sizes = sorted((size, task) for task, size in largest.items() if size > 0.0)
    if len(sizes) < 2 or not sizes[-1][0] > _ALIKE * sizes[0][0]:
        return None
    (small, one), (large, other) = sizes[0], sizes[-1]
    return (
        f"the values of {one} (up to {number(small, 3)}) and of {other} (up to {number(large, 3)}) are not on one "
        f"scale. Say what counts as 0 and as 1 of each: --task-range {one}=LOW:HIGH --task-range {other}=LOW:HIGH"
    )


def _thresholds(values: Sequence[float]) -> list[float]:
    """Evenly over the range of the values, a little beyond both ends; none where there is no range."""
    finite = [value for value in values if abs(value) < LARGEST_DRAWN]
    if not finite or min(finite) == max(finite):
        return []
    low, high = min(finite), max(finite)
    margin = 0.02 * (high - low)
    return [float(x) for x in np.linspace(low - margin, high + margin, _THRESHOLDS)]
