"""Plain repeats: each job of any sweep run with several seeds, and one result made of theirs.

For sweepers that choose the next jobs by the results of earlier ones (Optuna): what they are told of a trial is the
aggregate of its seeds. All trials get the same seeds, so they are compared by what differs between them; the sweeper
never sees a seed, so it cannot pick a lucky one.
"""

from __future__ import annotations

import copy
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.utils import JobReturn, JobStatus

from repro_hydra.record.values import from_json_number
from repro_hydra.repeats.metrics import metrics_of


class BadRepeats(ValueError):
    """Repeats that cannot be made, or results that cannot be put together; the message says where and why."""


def _interquartile_mean(values: Sequence[float]) -> float:
    from repro_hydra.stats.robust import interquartile_mean

    value = interquartile_mean(values).value
    assert value is not None  # all are finite
    return value


STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "mean": lambda values: math.fsum(values) / len(values),
    "median": statistics.median,
    "interquartile_mean": _interquartile_mean,
    "min": min,
    "max": max,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainRepeats:
    """How often, with which seeds, and what is made of the results."""

    count: int
    first_seed: int
    seed_override: str
    """The seed's key as an override has it: with ``++`` where the config lacks it."""
    statistic: str = "mean"
    metric: str | None = None
    """Of a result with several; the only one if not given."""

    def expand(self, job_overrides: Sequence[Sequence[str]]) -> list[list[str]]:
        """Each job `count` times, seed by seed, its own seed replaced.

        Raises
        ------
        BadRepeats
            For a job with another seed than the configured one: the sweep already chooses it.
        """
        key = self.seed_override.lstrip("+")
        for overrides in job_overrides:
            for text in overrides:
                if _key(text) == key and text.partition("=")[2].strip() != str(self.first_seed):
                    raise BadRepeats(
                        f"{text}: this sweep chooses {key} itself, and seed.repeats={self.count} gives every job its "
                        "seeds. Leave away one of the two"
                    )
        return [
            [*(text for text in overrides if _key(text) != key), f"{self.seed_override}={seed}"]
            for overrides in job_overrides
            for seed in range(self.first_seed, self.first_seed + self.count)
        ]

    def merge(self, results: Sequence[JobReturn]) -> list[JobReturn]:
        """One result for each `count` of them.

        A job with a failed seed has failed: without it the others would say too much good, or too much bad.

        Raises
        ------
        BadRepeats
            For results of which no one number can be made.
        """
        groups = [results[start : start + self.count] for start in range(0, len(results), self.count)]
        return [self._merged(group) for group in groups]

    def _merged(self, group: Sequence[JobReturn]) -> JobReturn:
        for result in group:
            if result.status is not JobStatus.COMPLETED:
                return result
        merged = copy.copy(group[0])
        merged.return_value = self._value([result._return_value for result in group], group)
        return merged

    def _value(self, values: Sequence[Any], group: Sequence[JobReturn]) -> Any:
        numbers = [from_json_number(value) for value in values]
        known = [value for value in numbers if value is not None]
        if len(known) == len(values):
            return self._aggregate(known)
        if all(isinstance(value, (list, tuple)) for value in values) and len(set(map(len, values))) == 1:
            columns = [[from_json_number(item) for item in column] for column in zip(*values, strict=True)]
            objectives = [[item for item in column if item is not None] for column in columns]
            if objectives and all(len(column) == len(values) for column in objectives):
                return [self._aggregate(column) for column in objectives]  # several objectives
        return self._aggregate([self._chosen(result) for result in group])

    def _chosen(self, result: JobReturn) -> float:
        metrics = metrics_of(result)
        numbers = {
            name: value for name, item in metrics.items() if (value := from_json_number(item)) is not None
        }
        if self.metric is None and len(numbers) == 1:
            return next(iter(numbers.values()))
        if self.metric is not None and self.metric in numbers:
            return numbers[self.metric]
        wanted = (
            "hydra.callbacks.repro.primary_metric: expected the name of one of the task's metrics"
            if self.metric is None
            else f"hydra.callbacks.repro.primary_metric={self.metric}: expected it among the task's metrics"
        )
        found = ", ".join(numbers) or "no number: the task must return one, or call repro_hydra.log_result"
        raise BadRepeats(f"{wanted}, for seed.repeats to aggregate; found {found}")

    def _aggregate(self, values: Sequence[float]) -> float:
        if not all(map(math.isfinite, values)):
            return math.nan  # no seed is left out; the sweeper takes it for a trial that failed
        return float(STATISTICS[self.statistic](values))


def check_repeats(count: int, statistic: str) -> None:
    """Refuse what is no number of repeats, and an unknown statistic.

    Raises
    ------
    BadRepeats
        With what was expected and found.
    """
    if count < 1:
        raise BadRepeats(f"hydra.callbacks.repro.seed.repeats: expected at least 1, found {count}")
    if statistic not in STATISTICS:
        raise BadRepeats(
            f"hydra.callbacks.repro.seed.repeats_as: expected one of {', '.join(STATISTICS)}, found {statistic!r}"
        )


def _key(override: str) -> str:
    return override.partition("=")[0].strip().lstrip("+~")
