"""What asks the system for randomness: named by the user's line, and held where the check wants to know if it matters.

What this package's own session asks (a run's id) is left as it is.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import sys
from collections.abc import Callable
from typing import Any

from repro_hydra.check.inside.notes import Notes, caller, users_frame
from repro_hydra.imports import LateImports

_HELD_SEED = 20_231_114


def install(held: bool, notes: Notes, late: LateImports) -> None:
    """Replace ``os.urandom`` and what the generators of `random` and torch get without a seed."""
    numbers = itertools.count()
    urandom, seed_of = os.urandom, random.Random.seed

    def held_bytes(size: int, /) -> bytes:
        frame = users_frame(caller())
        notes.at("system entropy", frame)
        if not held or frame is None:
            return urandom(size)
        return hashlib.shake_128(b"held %d" % next(numbers)).digest(size)

    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        frame = users_frame(caller()) if a is None else None
        notes.at("system entropy", frame)
        seed_of(self, _HELD_SEED + next(numbers) if held and frame is not None else a, version)

    os.urandom = held_bytes
    vars(random)["_urandom"] = held_bytes  # its own name for the function, taken at its import
    random.Random.seed = seed  # type: ignore[method-assign]
    random.seed = random._inst.seed
    if held:
        seed_of(random._inst, _HELD_SEED)
        late.when_imported("numpy.random", _hold_numpy)
    late.when_imported("torch", lambda: _watch_torch(held, notes))


def _hold_numpy() -> None:
    """Its global generator asked the system when it was imported, on nobody's line."""
    numpy_random: Any = sys.modules["numpy.random"]
    numpy_random.seed(_HELD_SEED)


def _watch_torch(held: bool, notes: Notes) -> None:
    torch: Any = sys.modules["torch"]
    original: Callable[[], int] = torch.seed

    def seed() -> int:
        notes.at("system entropy", users_frame(caller()))
        if not held:
            return original()
        torch.manual_seed(_HELD_SEED)
        return _HELD_SEED

    torch.seed = seed
    if held:
        torch.manual_seed(_HELD_SEED)
