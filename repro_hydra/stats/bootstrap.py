"""The bias-corrected accelerated bootstrap, with a generator of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from repro_hydra.stats.intervals import Interval, identical_note
from repro_hydra.stats.sample import check_fraction, not_finite_note, quantile, to_floats

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]

FEW_FOR_BOOTSTRAP = 10
# Resamples are drawn in blocks of at most so many numbers (8 MiB), so memory does not grow with their count.
_BLOCK = 1 << 20


def bootstrap_interval(
    values: Iterable[Any],
    *,
    statistic: Statistic | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """A bias-corrected accelerated (BCa) bootstrap interval for a statistic of the values.

    Parameters
    ----------
    values : iterable of numbers, shape (n,)
        One a seed, n >= 2. Flagged below n = 10: for the mean of normal values a 95 % interval covers 73, 83
        and 90 % at n = 3, 5 and 10. `mean_interval` is the better choice there.
    statistic : callable, optional
        Takes an array (m, n), gives an array (m,): the statistic of each row. The mean, if not given.
    confidence : float
        Between 0 and 1.
    resamples : int
        How many samples are drawn with replacement, at least 100.
    seed : int
        Of the generator made for this call. The global generators are neither read nor moved; the same call
        gives the same interval.

    Notes
    -----
    Assumes independent values from one distribution, of any shape. Efron, "Better Bootstrap Confidence
    Intervals", Journal of the American Statistical Association 82 (1987) 171-185; Efron & Tibshirani, "An
    Introduction to the Bootstrap" (1993), ch. 14, acceleration by the jackknife (eq. 14.15).

    Raises
    ------
    ValueError, TypeError
        For a confidence outside (0, 1), fewer than 100 resamples, a statistic that gives another shape, and for
        what is no sample (`to_floats`).
    """
    import numpy as np

    check_fraction(confidence)
    if resamples < 100:
        raise ValueError(f"resamples: expected at least 100, found {resamples}")
    sample = to_floats(values)
    n = len(sample)

    def result(low: float | None, high: float | None, *notes: str) -> Interval:
        return Interval(low=low, high=high, confidence=confidence, method="BCa bootstrap", n=n, notes=notes)

    reason = not_finite_note(sample) if n else "no values"
    if reason is None and n == 1:
        reason = "no interval: one seed tells nothing about spread"
    if reason is not None:
        return result(None, None, reason)

    array = np.sort(np.asarray(sample, dtype=np.float64))  # so the order of the runs does not matter
    reduce: Statistic = statistic if statistic is not None else _means
    observed = float(_reduced(reduce, array[np.newaxis])[0])
    if array[0] == array[-1]:
        return result(observed, observed, identical_note(n))
    notes = []
    if n < FEW_FOR_BOOTSTRAP:
        notes.append(f"bootstrap with {n} values: below {FEW_FOR_BOOTSTRAP} it covers far less than it says")
    limits = bca_limits(
        _resampled(reduce, array, resamples, seed),
        _leave_one_out(reduce, array),
        observed,
        confidence,
    )
    if limits is None:
        return result(None, None, *notes, "no interval: the resamples do not lie around the observed value")
    return result(*limits, *notes)


def bca_limits(
    resampled: NDArray[np.float64], left_out: NDArray[np.float64], observed: float, confidence: float
) -> tuple[float, float] | None:
    """The BCa limits from what was drawn.

    Parameters
    ----------
    resampled : array, shape (resamples,)
        The statistic of each resample.
    left_out : array, shape (n,)
        The statistic with one value left out in turn.
    observed : float
        The statistic of the sample.
    confidence : float
        Between 0 and 1.

    Returns
    -------
    (low, high) or None
        None where all resamples lie on one side of the observed value, or a limit is not finite.
    """
    import numpy as np
    from scipy.special import ndtr, ndtri

    ordered = np.sort(resampled)
    first = int(np.searchsorted(ordered, observed, side="left"))
    last = int(np.searchsorted(ordered, observed, side="right"))
    below = (first + last) / (2.0 * len(ordered))
    if not 0.0 < below < 1.0:
        return None
    bias = float(ndtri(below))
    pull = np.mean(left_out) - left_out
    largest = float(np.max(np.abs(pull)))
    acceleration = 0.0
    if largest > 0.0:
        pull = pull / largest  # so that the cubes of small numbers do not vanish
        acceleration = float(np.sum(pull**3)) / (6.0 * float(np.sum(pull**2)) ** 1.5)
    tail = (1.0 - confidence) / 2.0
    z = bias + ndtri(np.asarray([tail, 1.0 - tail]))
    values = ordered.tolist()
    tails = ndtr(bias + z / (1.0 - acceleration * z))
    if not np.all(np.isfinite(tails)):
        return None
    low, high = (quantile(values, float(tail)) for tail in tails)
    return (float(low), float(high)) if math.isfinite(low) and math.isfinite(high) else None


def _means(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    means: NDArray[np.float64] = samples.mean(axis=-1)
    return means


def _reduced(statistic: Statistic, samples: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    reduced = np.asarray(statistic(samples), dtype=np.float64)
    if reduced.shape != samples.shape[:-1]:
        raise ValueError(
            f"statistic: expected shape {samples.shape[:-1]} for samples of shape {samples.shape}, "
            f"found {reduced.shape}. It takes the statistic of each row: np.median(samples, axis=-1)"
        )
    return reduced


def _resampled(
    statistic: Statistic, array: NDArray[np.float64], resamples: int, seed: int
) -> NDArray[np.float64]:
    import numpy as np

    return np.concatenate(
        [_reduced(statistic, array[drawn]) for drawn in _drawn(len(array), resamples, seed)]
    )


def _drawn(n: int, resamples: int, seed: int) -> Iterable[NDArray[np.intp]]:
    """The places that make each resample, in blocks of rows; those of a table's rows are drawn once."""
    return _all_drawn(n, resamples, seed) if n * resamples <= _BLOCK else _blocks(n, resamples, seed)


@lru_cache(maxsize=4)
def _all_drawn(n: int, resamples: int, seed: int) -> tuple[NDArray[np.intp], ...]:
    return tuple(_blocks(n, resamples, seed))


def _blocks(n: int, resamples: int, seed: int) -> Iterator[NDArray[np.intp]]:
    import numpy as np

    generator = np.random.default_rng(seed)
    rows = max(1, _BLOCK // n)
    for start in range(0, resamples, rows):
        drawn = generator.integers(0, n, size=(min(rows, resamples - start), n))
        # Sorted, as the array itself is: a statistic that sorts then finds its work done.
        ordered: NDArray[np.intp] = np.asfortranarray(np.sort(drawn, axis=1))
        yield ordered


def _leave_one_out(statistic: Statistic, array: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    n = len(array)
    rows = max(1, _BLOCK // n)
    parts = []
    for start in range(0, n, rows):
        kept = np.arange(n - 1)[np.newaxis, :].repeat(min(rows, n - start), axis=0)
        left = np.arange(start, min(start + rows, n))[:, np.newaxis]
        parts.append(_reduced(statistic, array[kept + (kept >= left)]))
    return np.concatenate(parts)
