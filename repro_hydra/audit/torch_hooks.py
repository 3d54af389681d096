"""Hooks on torch's generators.

A ``torch.Generator`` that nobody seeds starts at one constant (67280421310721), whatever the run's seed is. Its class
is written in C and cannot be changed: a class with the same instances stands in its place while the session lasts.
"""

from __future__ import annotations

import sys
from typing import Any

from repro_hydra.audit.book import AuditBook, caller_of_hook
from repro_hydra.audit.seeding_hooks import watch_seeding
from repro_hydra.patches import Patches

DEFAULT_SEED = 67280421310721  # c10/core/GeneratorImpl.h, default_rng_seed_val


def install(audit: AuditBook, patches: Patches) -> None:
    """Replace what is looked at."""
    torch: Any = sys.modules["torch"]
    _watch_generators(torch, audit, patches)
    for owner, name in (
        (torch, "manual_seed"),
        (torch.cuda, "manual_seed_all"),
        (torch.cuda, "manual_seed"),
    ):
        watch_seeding(owner, name, "torch", audit, patches)
    for owner, name in ((torch, "seed"), (torch.cuda, "seed"), (torch.cuda, "seed_all")):
        watch_seeding(owner, name, "torch", audit, patches, valued=False)


def _watch_generators(torch: Any, audit: AuditBook, patches: Patches) -> None:
    real = torch.Generator

    class Meta(type(real)):  # type: ignore[misc]  # a metaclass that only torch knows
        def __call__(cls, *given: Any, **named: Any) -> Any:
            if cls is not stand_in:  # a subclass of the user's own
                return super().__call__(*given, **named)
            made = real(*given, **named)
            if not audit.sleeping():
                site = audit.accused(caller_of_hook())
                if site is not None:
                    audit.unseeded("torch.Generator", site, lambda: made.initial_seed() != DEFAULT_SEED)
            return made

        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, real)

        def __subclasscheck__(cls, subclass: Any) -> bool:
            return issubclass(subclass, real)

    stand_in = Meta("Generator", (real,), {"__module__": real.__module__})
    patches.attribute(torch._C, "Generator", stand_in)  # where it is looked for by name when unpickled
    patches.everywhere(torch, "Generator", stand_in)


def is_fresh_and_consumed(torch: Any) -> bool:
    """Whether the default generator has the system's seed, and something was drawn from it."""
    state = bytes(torch.get_rng_state()[:24].tolist())
    # ATen/CPUGeneratorImpl.cpp, CPUGeneratorImplStateLegacy: seed, left, seeded, next
    left, drawn = int.from_bytes(state[8:12], "little"), int.from_bytes(state[16:24], "little")
    untouched = left == 1 and drawn == 0
    return (
        not untouched and int(torch.initial_seed()) >= 2**32
    )  # the system's are 64 bits, a user's hardly ever
