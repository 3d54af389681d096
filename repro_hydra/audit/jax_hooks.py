"""Hooks on the keys of JAX.

JAX has no generator that a run could seed: each stream follows from a key, and the first key from a number of the
user's. So the audit asks where that number came from: a clock gives other numbers in each run, a constant the same to
every seed of a sweep.
"""

from __future__ import annotations

import sys
from functools import wraps
from typing import Any

from repro_hydra.audit.book import AuditBook, caller_of_hook
from repro_hydra.patches import Patches

_MAKE_KEYS = ("key", "PRNGKey")


def install(audit: AuditBook, patches: Patches) -> None:
    """Replace what is looked at: flax and others ask for keys by the same two functions."""
    random: Any = sys.modules["jax.random"]
    for name in _MAKE_KEYS:
        original = getattr(random, name, None)
        if original is None:  # another version of JAX: nothing is seen of its keys
            continue
        hook = _looked_at(original, f"jax.random.{name}", audit)
        home = sys.modules.get(original.__module__)
        if home is not None and getattr(home, name, None) is original:
            patches.attribute(home, name, hook)
        patches.everywhere(random, name, hook)


def _looked_at(original: Any, what: str, audit: AuditBook) -> Any:
    @wraps(original)
    def make_key(*given: Any, **named: Any) -> Any:
        if not audit.sleeping():
            audit.keyed(what, given[0] if given else named.get("seed"), caller_of_hook())
        return original(*given, **named)

    return make_key
