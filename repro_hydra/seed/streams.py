"""Independent random streams by name: what one part of a program draws does not shift what another gets.

Each is a `numpy.random.SeedSequence` of the run's seed, whose spawn key is a digest of the name with the rank and the
DataLoader worker. So a stream stays what it is when others come or go, and no two ranks, workers or seeds of a sweep
share one (https://numpy.org/doc/stable/reference/random/parallel.html).
"""

from __future__ import annotations

import random
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, overload

from blake3 import blake3

from repro_hydra.seed.handed_out import handed_out
from repro_hydra.wide_seeds import seed_torch_generator

if TYPE_CHECKING:
    import numpy as np
    import torch

_WORDS = 4
_of_the_run: list[tuple[int, int]] = []
"""Seed and rank of the run that this process is in; a forked child has them too."""


@contextmanager
def streams_of(seed: int, rank: int) -> Iterator[None]:
    """Within it, `rng` draws from this seed."""
    handed_out.forget()
    _of_the_run.append((seed, rank))
    try:
        yield
    finally:
        _of_the_run.pop()


def seed_sequence(seed: int, name: str, *, rank: int = 0, worker: int = 0) -> np.random.SeedSequence:
    """The root of the stream `name`.

    Parameters
    ----------
    seed : int
        The run's, from 0.
    worker : int
        0 for the process itself, 1 for DataLoader worker 0, and so on.
    """
    import numpy

    words = struct.unpack(f"<{_WORDS}I", blake3(name.encode()).digest()[: 4 * _WORDS])
    return numpy.random.SeedSequence(seed, spawn_key=(*words, rank, worker))


@overload
def rng(name: str, kind: Literal["numpy"] = ..., *, seed: int | None = ...) -> np.random.Generator: ...
@overload
def rng(name: str, kind: Literal["python"], *, seed: int | None = ...) -> random.Random: ...
@overload
def rng(name: str, kind: Literal["torch"], *, seed: int | None = ...) -> torch.Generator: ...
def rng(name: str, kind: str = "numpy", *, seed: int | None = None) -> Any:
    """A generator of its own for one purpose, made from the run's seed.

    Two calls with one name give two generators at the same beginning: keep the one that you draw from.

    Parameters
    ----------
    name : str
        What it is for, e.g. ``"augment"``.
    kind : {"numpy", "python", "torch"}
        A `numpy.random.Generator`, a `random.Random` or a `torch.Generator` (on the CPU).
    seed : int, optional
        By default the run's.

    Raises
    ------
    LookupError
        Outside of a run that sets seeds, without `seed`.
    ValueError
        For a kind that is none.

    Examples
    --------
    >>> float(rng("augment", seed=3).random()) == float(rng("augment", seed=3).random())
    True
    """
    rank = 0
    if seed is None:
        if not _of_the_run:
            raise LookupError(
                f"rng({name!r}): expected to be in a run that sets seeds, found none. "
                f"Give a seed: rng({name!r}, seed=0)"
            )
        seed, rank = _of_the_run[-1]
    worker = _worker()
    made = _make(kind, seed_sequence(seed, name, rank=rank, worker=worker))
    if not worker:
        handed_out.add(name, kind, made)
    return made


def _make(kind: str, root: np.random.SeedSequence) -> Any:
    if kind == "numpy":
        import numpy

        return numpy.random.default_rng(root)
    number = int.from_bytes(root.generate_state(_WORDS).tobytes(), "little")
    if kind == "python":
        return random.Random(number)
    if kind == "torch":
        import torch

        generator = torch.Generator()
        seed_torch_generator(generator, number)
        return generator
    raise ValueError(f"kind: expected numpy, python or torch, found {kind!r}")


def _worker() -> int:
    """1 and up in a DataLoader's worker; torch is not imported to find out."""
    data = sys.modules.get("torch.utils.data")
    info = data.get_worker_info() if data is not None else None
    return 0 if info is None else int(info.id) + 1
