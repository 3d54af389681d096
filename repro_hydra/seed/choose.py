"""Which seed a run gets."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import msgspec

from repro_hydra.config import SeedConf

MAX_SEED = 2**32 - 1  # what NumPy's legacy generator takes; torch and Python take more


class SeedError(ValueError):
    """A seed that cannot be set; the message says where, what was expected and found."""


class ChosenSeeds(msgspec.Struct, frozen=True, kw_only=True):
    """The seeds that a run is to get, before any is set."""

    seed: int
    python: int
    numpy: int
    torch: int
    cuda: int
    defaulted: bool
    """The config had none, so the documented default was taken."""


def rank_seed(seed: int, rank: int) -> int:
    """The seed of one rank: ``seed + rank * 2**32``, which is no other rank's, and no seed of a sweep.

    Rank 0 has the seed itself, so a run has the same numbers alone and as the first of several.
    """
    return seed + (rank << 32)


def check_seed(value: Any, where: str = "seed") -> int:
    """`value` as a seed.

    Raises
    ------
    SeedError
        Unless it is an integer from 0 to 2**32 - 1. Zero is a seed like any other.
    """
    expected = f"an integer from 0 to {MAX_SEED}"
    if isinstance(value, bool) or not isinstance(value, Integral):  # NumPy's integers are some
        kind = type(value).__name__
        if isinstance(value, Mapping):  # its content is of no help here
            raise SeedError(
                f"{where or 'the config'}: expected {expected}, found a mapping ({kind}). "
                "Name the key of the seed itself: hydra.callbacks.repro.seed.key=KEY"
            )
        raise SeedError(f"{where}: expected {expected}, found {value!r} ({kind}). Run with: {where}=0")
    seed = int(value)
    if not 0 <= seed <= MAX_SEED:
        raise SeedError(f"{where}: expected {expected}, found {seed}. Run with: {where}=0")
    return seed


def choose_seeds(options: SeedConf, configured: Any, *, rank: int = 0) -> ChosenSeeds:
    """The seeds of a run whose config holds `configured` at `options.key`.

    Parameters
    ----------
    options : SeedConf
        The group ``repro/seed``.
    configured : Any
        What the user's config holds; None where the key is missing or null.
    rank : int
        Decides as `options` say: a seed of its own (`rank_seed`), ``seed + rank``, or the same for all.

    Raises
    ------
    SeedError
        For a seed that is negative, too large or no integer.
    """
    defaulted = configured is None
    base = (
        check_seed(options.default, "hydra.callbacks.repro.seed.default")
        if defaulted
        else check_seed(configured, options.key)
    )
    seed = check_seed(base + rank, f"{options.key} + rank") if options.rank_offset else base
    apart = 0 if options.rank_offset or options.ranks_alike else rank

    def own(value: int | None, library: str) -> int:
        chosen = seed if value is None else check_seed(value, f"hydra.callbacks.repro.seed.{library}")
        return rank_seed(chosen, apart)

    return ChosenSeeds(
        seed=seed,
        python=own(options.python, "python"),
        numpy=own(options.numpy, "numpy"),
        torch=own(options.torch, "torch"),
        cuda=own(options.cuda if options.cuda is not None else options.torch, "cuda"),
        defaulted=defaulted,
    )
