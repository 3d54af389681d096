"""Everything put in force, at the interpreter's start."""

from __future__ import annotations

import atexit
import json
import locale as _locale
import os
import sys
from typing import Any

VARIABLE = "REPRO_HYDRA_CHECK"
"""Names the file with the conditions of this run."""
_KEPT: list[bytearray] = []
"""Small objects that are never given back: what comes after them lies elsewhere."""


def start() -> None:
    """Put the conditions in force that the environment names."""
    path = os.environ.get(VARIABLE)
    if not path:
        return
    from repro_hydra.check.inside import clock, entropy, hydra_app, order, timing
    from repro_hydra.check.inside.notes import Notes
    from repro_hydra.imports import LateImports

    with open(path, encoding="utf-8") as stream:  # noqa: PTH123 (at each interpreter's start; pathlib takes 10 ms)
        spec: dict[str, Any] = json.load(stream)
    conditions = spec["conditions"]
    notes = Notes(spec["notes"], spec["start"])
    notes.write("signed in")
    _KEPT.extend(bytearray(16 + number % 400) for number in range(conditions["ballast"]))
    late = LateImports()
    late.install()
    order.install(conditions["order"], notes)
    held_at = spec["held_at"] if conditions["clock_held"] else None
    clock.install(clock.Clock(held_at, conditions["clock_offset_s"], notes))
    entropy.install(conditions["entropy_held"], notes, late)
    timing.install(conditions["timing"], notes, late)
    hydra_app.install(spec["directory"], notes, late)
    _watch_locale(notes)
    pid = os.getpid()
    atexit.register(lambda: _tell_modules(notes) if os.getpid() == pid else None)


def _watch_locale(notes: Any) -> None:
    from repro_hydra.check.inside.notes import users_frame

    original = _locale.setlocale

    def setlocale(category: int, locale: Any = None) -> str:
        if locale is not None:
            notes.at("locale", users_frame(sys._getframe(1)))
        return original(category, locale)

    _locale.setlocale = setlocale


def _tell_modules(notes: Any) -> None:
    """The user's files, which the parent looks through for lines that could be to blame."""
    from repro_hydra.sites import is_users, users_modules

    found = [filename for filename, _ in users_modules()]
    # The interpreter takes the main script's `__file__` away before it leaves; its loader still knows.
    script = getattr(getattr(sys.modules.get("__main__"), "__loader__", None), "path", None)
    if isinstance(script, str) and is_users(script):
        found.append(script)
    for filename in found:
        notes.write("module", os.path.abspath(filename))  # noqa: PTH100
