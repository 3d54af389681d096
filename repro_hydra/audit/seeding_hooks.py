"""The hook on a function that seeds a library's global generator, whichever library's it is."""

from __future__ import annotations

import sys
from functools import wraps
from typing import Any

from repro_hydra.audit.book import AuditBook, caller_of_hook
from repro_hydra.patches import Patches


def watch_seeding(
    owner: Any, name: str, library: str, audit: AuditBook, patches: Patches, *, valued: bool = True
) -> None:
    """Have ``owner.name(seed)`` looked at: where `owner` has it, and in the module that defines it.

    Parameters
    ----------
    valued : bool
        Whether it takes the seed; without, it asks the system for one.
    """
    original = getattr(owner, name)

    @wraps(original)
    def seed(*given: Any, **named: Any) -> Any:
        with audit.inside():
            answer = original(*given, **named)
        if not audit.sleeping():
            value = given[0] if given else named.get("seed")
            audit.seeded_again(library, value if valued else None, caller_of_hook())
        return answer

    home = sys.modules.get(original.__module__)
    if home is not None and home is not owner and getattr(home, name, None) is original:
        patches.attribute(home, name, seed)
    patches.everywhere(owner, name, seed)
