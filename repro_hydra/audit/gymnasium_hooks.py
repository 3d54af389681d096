"""Hooks on gymnasium: an environment or a space that is used before somebody has seeded it.

Environments and spaces make their generator when they first need one, by ``seeding.np_random()`` without a seed unless
``reset(seed=…)`` or ``action_space.seed(…)`` was called before. The generator is the library's, the omission the
user's: so the nearest line of the user's is named.
"""

from __future__ import annotations

import os
import sys
from functools import wraps
from types import FrameType
from typing import Any

from repro_hydra.audit.book import AuditBook, caller_of_hook
from repro_hydra.patches import Patches

_SPACE = os.path.join("spaces", "space.py")  # noqa: PTH118 (held against the names of frames)
_COPIES = os.path.join("vector", "utils", "space_utils.py")  # noqa: PTH118
_SEEDED = "_repro_hydra_seeded"


def watch_generators(audit: AuditBook, patches: Patches) -> None:
    """What makes the generators of this process."""
    seeding: Any = sys.modules["gymnasium.utils.seeding"]
    original = seeding.np_random
    unseeded: set[int] = set()

    @wraps(original)
    def np_random(seed: int | None = None) -> Any:
        made = original(seed)
        if seed is None and not audit.sleeping():
            unseeded.add(made[0].bit_generator.seed_seq.entropy)
            frame = caller_of_hook()
            if not frame.f_code.co_filename.endswith(_SPACE):  # those are looked at when they are drawn from
                _accuse(audit, frame, frame.f_locals.get("self"))
        return made

    patches.attribute(seeding, "np_random", np_random)
    audit.when_imported("gymnasium.spaces.space", lambda: _watch_spaces(audit, patches, unseeded))


def _watch_spaces(audit: AuditBook, patches: Patches, unseeded: set[int]) -> None:
    """A space is asked for its generator at each draw; a vector of environments copies it from the single one's."""
    space: Any = sys.modules["gymnasium.spaces.space"].Space
    ask = space.np_random.fget

    def np_random(self: Any) -> Any:
        generator = ask(self)
        frame = caller_of_hook()
        if unseeded and not audit.sleeping() and not frame.f_code.co_filename.endswith(_COPIES):
            sequence = getattr(generator.bit_generator, "seed_seq", None)
            if getattr(sequence, "entropy", None) in unseeded:
                _accuse(audit, frame, self)
        return generator

    patches.attribute(space, "np_random", property(np_random, doc=space.np_random.__doc__))


def _accuse(audit: AuditBook, frame: FrameType, owner: Any) -> None:
    site = audit.nearest(frame)
    if site is not None:
        audit.unseeded(f"gymnasium.{_what(owner)}", site)


def watch_vectors(audit: AuditBook, patches: Patches) -> None:
    """Environments in processes of their own, whose generators nobody here sees: their reset is."""
    vector: Any = sys.modules["gymnasium.vector.async_vector_env"].AsyncVectorEnv
    original = vector.reset

    @wraps(original)
    def reset(self: Any, *, seed: Any = None, options: Any = None) -> Any:
        if seed is None and not getattr(self, _SEEDED, False) and not audit.sleeping():
            site = audit.nearest(caller_of_hook())
            if site is not None:
                audit.unseeded("gymnasium.AsyncVectorEnv", site)
        setattr(self, _SEEDED, True)
        return original(self, seed=seed, options=options)

    patches.attribute(vector, "reset", reset)


def _what(owner: Any) -> str:
    """The environment's name, or the space's class."""
    spec = getattr(getattr(owner, "unwrapped", None), "spec", None)
    name = getattr(spec, "id", None)
    return str(name) if name else type(owner).__name__
