"""Two configurations paired by seed, without a bell curve: sign-flip and Wilcoxon's signed-rank test, both exact."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from repro_hydra.stats.compare import paired_differences
from repro_hydra.stats.sample import check_fraction, not_finite_note, to_floats

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# 2**20 sums are 8 MiB and some milliseconds; beyond, signs are drawn.
LARGEST_N_FOR_ALL_FLIPS = 20
DRAWN_FLIPS = 100_000


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedTest:
    """A test that compares two configurations seed by seed, and what it could have found at best.

    Attributes
    ----------
    method : str
        ``"sign flip"`` or ``"Wilcoxon signed rank"``.
    statistic : float or None
        The sum of the differences; for Wilcoxon's, the sum of the ranks of the positive ones.
    p_value : float or None
        Two-sided.
    smallest_p : float or None
        The smallest p-value that so many pairs can give.
    n : int
        Number of pairs.
    n_zero : int
        How many of them are equal, and decide nothing.
    exact : bool
        Whether all sign patterns were counted, rather than some drawn.
    confidence : float
        What the note about too few pairs refers to.
    notes : tuple of str
        Why it is undefined; whether so few pairs could have been enough.
    """

    method: str
    statistic: float | None = None
    p_value: float | None = None
    smallest_p: float | None = None
    n: int
    n_zero: int = 0
    exact: bool = True
    confidence: float
    notes: tuple[str, ...] = ()


def sign_flip_test(
    a: Iterable[Any], b: Iterable[Any], *, confidence: float = 0.95, seed: int = 0
) -> PairedTest:
    """The permutation test of paired values: whether the signs of the differences could be chance.

    Parameters
    ----------
    a, b : iterable of numbers, shape (n,)
        The i-th of both belong to one seed.
    confidence : float
        Between 0 and 1; for the note only.
    seed : int
        Of the generator made for this call, where signs are drawn (above 20 pairs that differ).

    Notes
    -----
    Assumes only that, were both equal, each difference would be as likely to have the other sign. The p-value
    is the share of all 2**n sign patterns whose sum is at least as far from zero. The smallest possible is
    2/2**n: five seeds cannot reach 0.05, and the result says so. Above 20 pairs 100,000 patterns are drawn, and
    p is (count + 1)/(drawn + 1), which keeps the test valid (Phipson & Smyth, Statistical Applications in
    Genetics and Molecular Biology 9 (2010) 39). Fisher, "The Design of Experiments" (1935), section 21.

    Raises
    ------
    ValueError, TypeError
        For samples of different lengths, a confidence outside (0, 1), what is no sample (`to_floats`).
    """
    differences, result = _prepare(a, b, confidence, method="sign flip")
    if result is not None:
        return result
    moving = sorted((d for d in differences if d != 0.0), key=abs)
    m = len(moving)
    exact = m <= LARGEST_N_FOR_ALL_FLIPS
    p_value, smallest = _share_of_all_flips(moving) if exact else _share_of_drawn_flips(moving, seed)
    return PairedTest(
        method="sign flip",
        statistic=math.fsum(differences),
        p_value=p_value,
        smallest_p=smallest,
        n=len(differences),
        n_zero=len(differences) - m,
        exact=exact,
        confidence=confidence,
        notes=_notes(m, len(differences), smallest, confidence),
    )


def wilcoxon_test(a: Iterable[Any], b: Iterable[Any], *, confidence: float = 0.95) -> PairedTest:
    """Wilcoxon's signed-rank test, exact at every n, with ties and zeros.

    Parameters
    ----------
    a, b : iterable of numbers, shape (n,)
        The i-th of both belong to one seed.
    confidence : float
        Between 0 and 1; for the note only.

    Notes
    -----
    The sign-flip test of the ranks of the differences' sizes, so a wild seed counts no more than its rank.
    Assumes that, were both equal, the differences would be symmetric about zero. Equal values are left out, as
    Wilcoxon did; ties share their mean rank, and the distribution is counted with these ranks, where the usual
    tables and SciPy's ``exact`` presume none. Differences are compared as they come out of floating-point
    subtraction. Wilcoxon, "Individual Comparisons by Ranking Methods", Biometrics Bulletin 1 (1945) 80-83.

    Raises
    ------
    ValueError, TypeError
        For samples of different lengths, a confidence outside (0, 1), what is no sample (`to_floats`).
    """
    differences, result = _prepare(a, b, confidence, method="Wilcoxon signed rank")
    if result is not None:
        return result
    moving = [d for d in differences if d != 0.0]
    m = len(moving)
    ranks = _doubled_ranks([abs(d) for d in moving])
    positive = sum(rank for rank, d in zip(ranks, moving, strict=True) if d > 0.0)
    below = _probability_up_to(ranks, min(positive, sum(ranks) - positive))
    smallest = 2.0 ** (1 - m) if m else 1.0
    return PairedTest(
        method="Wilcoxon signed rank",
        statistic=positive / 2.0,
        p_value=min(1.0, 2.0 * below),
        smallest_p=smallest,
        n=len(differences),
        n_zero=len(differences) - m,
        confidence=confidence,
        notes=_notes(m, len(differences), smallest, confidence),
    )


def _prepare(
    a: Iterable[Any], b: Iterable[Any], confidence: float, *, method: str
) -> tuple[list[float], PairedTest | None]:
    check_fraction(confidence)
    first, second = to_floats(a, name="a"), to_floats(b, name="b")
    differences = paired_differences(first, second)
    reason = None if differences else "no pairs"
    for name, sample in (("A", first), ("B", second), ("the differences", differences)):
        note = not_finite_note(sample)
        if reason is None and note is not None:
            reason = f"{name}: {note}"
    if reason is None and not math.isfinite(len(differences) * max(map(abs, differences))):
        reason = "the differences are too large for a double"
    if reason is None:
        return differences, None
    return differences, PairedTest(method=method, n=len(differences), confidence=confidence, notes=(reason,))


def _notes(m: int, n: int, smallest: float, confidence: float) -> tuple[str, ...]:
    notes = []
    if m < n:
        notes.append(f"{n - m} of {n} pairs are equal and decide nothing")
    if smallest > 1.0 - confidence:
        notes.append(
            f"{m} pairs that differ cannot reach p <= {1.0 - confidence:.4g}: the smallest possible is {smallest:.4g}"
        )
    return tuple(notes)


def _share_of_all_flips(moving: list[float]) -> tuple[float, float]:
    """The share of sign patterns whose sum is at least as far from zero, and the smallest there can be."""
    import numpy as np

    if not moving:
        return 1.0, 1.0
    scaled = [d / abs(moving[-1]) for d in moving]  # the largest last: no sum overflows
    # The first sign is fixed: the pattern with all signs turned has the same distance from zero.
    sums: NDArray[np.float64] = np.asarray([scaled[0]])
    for d in scaled[1:]:
        sums = np.concatenate([sums + d, sums - d])
    as_far = np.abs(sums) >= _just_below(scaled)
    return float(np.mean(as_far)), 2.0 ** (1 - len(moving))


def _share_of_drawn_flips(moving: list[float], seed: int) -> tuple[float, float]:
    import numpy as np

    scaled = np.asarray([d / abs(moving[-1]) for d in moving])
    generator = np.random.default_rng(seed)
    limit = _just_below(scaled.tolist())
    block = max(1, (1 << 20) // len(moving))
    count = 0
    for start in range(0, DRAWN_FLIPS, block):
        signs = generator.integers(0, 2, size=(min(block, DRAWN_FLIPS - start), len(moving))) * 2.0 - 1.0
        count += int(np.count_nonzero(np.abs(signs @ scaled) >= limit))
    return (count + 1) / (DRAWN_FLIPS + 1), 1 / (DRAWN_FLIPS + 1)


def _just_below(scaled: list[float]) -> float:
    """The observed distance less what rounding may have added to an equal one."""
    return abs(math.fsum(scaled)) - 1e-12 * math.fsum(map(abs, scaled))


def _doubled_ranks(sizes: list[float]) -> list[int]:
    """Twice the mid-ranks of `sizes`: whole numbers, with ties too."""
    ordered = sorted(sizes)
    first: dict[float, int] = {}
    count: dict[float, int] = {}
    for position, size in enumerate(ordered):
        first.setdefault(size, position)
        count[size] = count.get(size, 0) + 1
    return [2 * first[size] + count[size] + 1 for size in sizes]


def _probability_up_to(ranks: list[int], limit: int) -> float:
    """P(S <= limit), where S is the sum of those ranks whose fair coin shows heads."""
    import numpy as np

    probability: NDArray[np.float64] = np.zeros(sum(ranks) + 1)
    probability[0] = 1.0
    reach = 0
    for rank in ranks:
        before = probability[: reach + 1].copy()
        probability[: reach + 1] *= 0.5
        probability[rank : rank + reach + 1] += 0.5 * before
        reach += rank
    return float(np.sum(probability[: limit + 1]))
