"""Many tasks at once: performance profiles and the interquartile mean, with a bootstrap that keeps the tasks apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from repro_hydra.stats.bootstrap import FEW_FOR_BOOTSTRAP
from repro_hydra.stats.intervals import Interval
from repro_hydra.stats.robust import interquartile_means
from repro_hydra.stats.sample import check_fraction, not_finite_note, to_floats

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Resamples are drawn in blocks of at most so many numbers (8 MiB), so memory does not grow with their count.
_BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class PerformanceProfile:
    """How large a share of the runs lies above each threshold, averaged over the tasks.

    Attributes
    ----------
    thresholds : tuple of float
        As asked for, ascending.
    share : tuple of float
        One a threshold, from 0 to 1; empty where it is undefined.
    low, high : tuple of float
        The band, threshold by threshold at `confidence`; empty where there is none.
    confidence : float
        What the band aims at.
    runs : tuple of int
        Number of runs of each task.
    notes : tuple of str
        Why it is undefined, or what to bear in mind.
    """

    thresholds: tuple[float, ...]
    share: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    confidence: float
    runs: tuple[int, ...]
    notes: tuple[str, ...] = ()


def performance_profile(
    tasks: Iterable[Iterable[Any]],
    *,
    thresholds: Iterable[float],
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> PerformanceProfile:
    """The run-score distribution of one configuration over its tasks, with a bootstrap band.

    Parameters
    ----------
    tasks : iterable of iterables of numbers, shapes (n_1,), (n_2,), …
        The runs of each task, one a seed. Scores of different tasks must be on one scale: normalise them first.
    thresholds : iterable of float
        Where the profile is wanted; sorted.
    confidence : float
        Of the band, point by point (not of the whole curve together), between 0 and 1.
    resamples : int
        At least 100.
    seed : int
        Of the generator made for this call; the global ones are neither read nor moved.

    Notes
    -----
    ``share(t)`` is the mean over the tasks of the share of the task's runs that lie strictly above t. For a metric
    where lower is better the better configuration's profile is the lower one. The band is the percentile
    bootstrap, stratified: each task's runs are drawn anew among themselves, and the tasks are taken as they are,
    so it says nothing of tasks that were not run. Agarwal et al., "Deep Reinforcement Learning at the Edge of
    the Statistical Precipice", NeurIPS 2021, sections 4.2 and A; profiles after Dolan & Moré, Mathematical
    Programming 91 (2002) 201-213.

    Raises
    ------
    ValueError, TypeError
        For a confidence outside (0, 1), fewer than 100 resamples, a threshold that is not finite, and for what
        is no sample (`to_floats`).
    """
    import numpy as np

    samples, wanted = _samples(tasks), sorted(to_floats(thresholds, name="thresholds"))
    _check(confidence, resamples)
    for index, threshold in enumerate(wanted):
        if not math.isfinite(threshold):
            raise ValueError(f"thresholds[{index}]: expected a finite number, found {threshold!r}")
    runs = tuple(map(len, samples))

    def result(*notes: str, **found: tuple[float, ...]) -> PerformanceProfile:
        return PerformanceProfile(
            thresholds=tuple(wanted), confidence=confidence, runs=runs, notes=notes, **found
        )

    reason = _why_undefined(samples)
    if reason is not None:
        return result(reason)
    above = [np.asarray(sample)[:, np.newaxis] > np.asarray(wanted)[np.newaxis, :] for sample in samples]
    share = sum((item.mean(axis=0) for item in above), np.zeros(len(wanted))) / len(above)
    known = tuple(map(float, share))
    if max(runs) == 1:
        return result("one run of each task: no band, since one seed tells nothing about spread", share=known)
    drawn = np.zeros((resamples, len(wanted)))
    for sample, counts in zip(above, _counts(runs, resamples, seed), strict=True):
        drawn += (counts @ sample.astype(np.float64)) / (len(sample) * len(above))
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(drawn, [tail, 1.0 - tail], axis=0)
    return result(*_few(runs), share=known, low=tuple(map(float, low)), high=tuple(map(float, high)))


def interquartile_mean_interval(
    tasks: Iterable[Iterable[Any]], *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """The stratified bootstrap interval of the interquartile mean of all runs of all tasks.

    Parameters
    ----------
    tasks, confidence, resamples, seed
        As for `performance_profile`. One task is a plain bootstrap of its runs.

    Notes
    -----
    The interquartile mean is that of `interquartile_mean`, with fractional weights, over the runs of all tasks
    together; each task's runs are drawn anew among themselves. Percentile limits, as in Agarwal et al. (2021),
    section 4.3. Flagged for fewer than 10 runs in all, where a bootstrap covers far less than it says.

    Raises
    ------
    ValueError, TypeError
        As `performance_profile`.
    """
    import numpy as np

    samples = _samples(tasks)
    _check(confidence, resamples)
    runs = tuple(map(len, samples))

    def result(low: float | None, high: float | None, *notes: str) -> Interval:
        method = "stratified bootstrap, percentile"
        return Interval(low=low, high=high, confidence=confidence, method=method, n=sum(runs), notes=notes)

    reason = _why_undefined(samples)
    if reason is None and max(runs) == 1:
        reason = "one run of each task: no interval, since one seed tells nothing about spread"
    if reason is not None:
        return result(None, None, reason)
    drawn = _drawn_values(samples, resamples, seed, interquartile_means)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(drawn, [tail, 1.0 - tail])
    return result(float(low), float(high), *_few(runs))


def _samples(tasks: Iterable[Iterable[Any]]) -> list[list[float]]:
    return [to_floats(sample, name=f"tasks[{index}]") for index, sample in enumerate(tasks)]


def _check(confidence: float, resamples: int) -> None:
    check_fraction(confidence)
    if resamples < 100:
        raise ValueError(f"resamples: expected at least 100, found {resamples}")


def _why_undefined(samples: Sequence[Sequence[float]]) -> str | None:
    if not samples:
        return "no tasks"
    for index, sample in enumerate(samples):
        reason = not_finite_note(sample) if sample else "no values"
        if reason is not None:
            return f"task {index + 1} of {len(samples)}: {reason}"
    return None


def _few(runs: Sequence[int]) -> tuple[str, ...]:
    if sum(runs) >= FEW_FOR_BOOTSTRAP:
        return ()
    return (
        f"bootstrap with {sum(runs)} runs in all: below {FEW_FOR_BOOTSTRAP} it covers far less than it says",
    )


def _counts(runs: Sequence[int], resamples: int, seed: int) -> Iterable[NDArray[np.float64]]:
    """For each task, how often each of its runs is in each resample: arrays (resamples, n)."""
    import numpy as np

    generator = np.random.default_rng(seed)
    for n in runs:
        yield generator.multinomial(n, [1.0 / n] * n, size=resamples).astype(np.float64)


def _drawn_values(
    samples: Sequence[Sequence[float]],
    resamples: int,
    seed: int,
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> NDArray[np.float64]:
    import numpy as np

    generator = np.random.default_rng(seed)
    arrays = [np.sort(np.asarray(sample, dtype=np.float64)) for sample in samples]
    rows = max(1, _BLOCK // sum(map(len, arrays)))
    parts = []
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        drawn = [array[generator.integers(0, len(array), size=(count, len(array)))] for array in arrays]
        parts.append(statistic(np.concatenate(drawn, axis=1)))
    return np.concatenate(parts)
