"""Two configurations seed by seed: which seeds they share, and the comparison that this allows."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from repro_hydra.stats.compare import Difference, paired_t_test, welch_t_test
from repro_hydra.stats.sample import to_floats


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedSeeds:
    """The values of two configurations, seed by seed.

    Attributes
    ----------
    seeds : tuple
        The seeds that both have, in the order of A.
    a, b : tuple of float
        Their values, in the order of `seeds`.
    only_a, only_b : tuple
        The seeds that only one of them has.
    """

    seeds: tuple[Hashable, ...]
    a: tuple[float, ...]
    b: tuple[float, ...]
    only_a: tuple[Hashable, ...]
    only_b: tuple[Hashable, ...]


def pair_by_seed(a: Mapping[Any, Any], b: Mapping[Any, Any]) -> PairedSeeds:
    """Put the values of two configurations side by side, by their seeds.

    Parameters
    ----------
    a, b : mapping from seed to number

    Raises
    ------
    TypeError
        For a value that is no number.
    """
    shared = [seed for seed in a if seed in b]
    return PairedSeeds(
        seeds=tuple(shared),
        a=tuple(to_floats([a[seed] for seed in shared], name="a")),
        b=tuple(to_floats([b[seed] for seed in shared], name="b")),
        only_a=tuple(seed for seed in a if seed not in b),
        only_b=tuple(seed for seed in b if seed not in a),
    )


def compare_by_seed(a: Mapping[Any, Any], b: Mapping[Any, Any], *, confidence: float = 0.95) -> Difference:
    """The difference of two configurations, paired by seed where the seeds are shared, else Welch's.

    Parameters
    ----------
    a, b : mapping from seed to number
    confidence : float
        Between 0 and 1.

    Notes
    -----
    Paired where at least two seeds, and at least half of each configuration's, are shared; seeds without a
    partner are then left out, and named. Pairing presumes that runs of one seed share some of their luck (the
    same split, the same initial weights); where they do not, it costs degrees of freedom, and is still valid.

    Raises
    ------
    ValueError, TypeError
        For a confidence outside (0, 1) and for values that are no numbers.
    """
    pairs = pair_by_seed(a, b)
    shared = len(pairs.seeds)
    if shared < 2 or 2 * shared < max(len(a), len(b)):
        result = welch_t_test(list(a.values()), list(b.values()), confidence=confidence)
        return _with_notes(result, f"not paired: {shared} seeds shared, of {len(a)} and {len(b)}")
    result = paired_t_test(pairs.a, pairs.b, confidence=confidence)
    alone = [
        f"seed {', '.join(map(str, seeds))} of {name} has no partner and is left out"
        for name, seeds in (("A", pairs.only_a), ("B", pairs.only_b))
        if seeds
    ]
    return _with_notes(result, *alone)


def _with_notes(result: Difference, *notes: str) -> Difference:
    return replace(result, notes=(*result.notes, *notes))
