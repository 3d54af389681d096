"""Hooks on NumPy's generators.

A generator without a seed asks ``numpy.random.bit_generator.randbits`` once, which is a module's global that is looked
up at each call: replaced there, it is reached by every constructor however that was imported. ``RandomState(3)`` asks
too before it seeds itself, so its bit generator is looked at again at the end: a seeded one has no seed sequence.
"""

from __future__ import annotations

import re
import sys
from types import FrameType
from typing import Any

from repro_hydra.audit.book import AuditBook, caller_of_hook
from repro_hydra.audit.origin import text_of_call
from repro_hydra.patches import Patches

_NAMES = re.compile(r"\b(default_rng|SeedSequence|PCG64DXSM|PCG64|Philox|SFC64|MT19937|RandomState)\s*\(")


def install(audit: AuditBook, patches: Patches) -> None:
    """Replace what is looked at."""
    random: Any = sys.modules["numpy.random"]
    bits: Any = sys.modules["numpy.random.bit_generator"]
    mtrand: Any = sys.modules["numpy.random.mtrand"]
    original_bits, original_seed, twister = bits.randbits, random.seed, mtrand._MT19937

    def randbits(k: int) -> int:
        asleep = audit.sleeping()
        with audit.inside():
            value = int(original_bits(k))
        if not asleep:
            frame = caller_of_hook()
            site = audit.accused(frame)
            if site is not None:
                audit.unseeded(f"numpy.random.{_constructor(frame)}", site)
        return value

    class Twister:
        """Stands for MT19937 where ``RandomState`` makes one."""

        def __call__(self, *given: Any, **named: Any) -> Any:
            asleep = audit.sleeping()
            with audit.inside():
                made = twister(*given, **named)
            if not asleep and not given and not named:
                site = audit.accused(caller_of_hook())
                if site is not None:
                    audit.unseeded("numpy.random.RandomState", site, lambda: made.seed_seq is None)
            return made

        def __instancecheck__(self, instance: Any) -> bool:
            return isinstance(instance, twister)

        def __getattr__(self, name: str) -> Any:
            return getattr(twister, name)

    def seed(seed: Any = None) -> None:
        with audit.inside():
            original_seed(seed)
        if not audit.sleeping():
            audit.seeded_again("numpy.random", seed, caller_of_hook())

    patches.attribute(bits, "randbits", randbits)
    patches.attribute(mtrand, "_MT19937", Twister())
    patches.attribute(mtrand, "seed", seed)
    patches.everywhere(random, "seed", seed)


def _constructor(frame: FrameType) -> str:
    """The name of the constructor, as far as the line tells."""
    found = _NAMES.search(text_of_call(frame))
    return found.group(1) if found else "default_rng"


def is_fresh_and_consumed(random: Any) -> bool:
    """Whether the global generator was never seeded, and something was drawn from it."""
    state = random.get_state(legacy=False)
    generator = random.mtrand._rand._bit_generator
    unseeded = getattr(generator, "seed_seq", None) is not None
    untouched = state["state"].get("pos") in (623, 624) and not state["has_gauss"]  # 623 as NumPy makes it
    return unseeded and not untouched
