"""Functions of libraries replaced while a session lasts, and put back when it ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from repro_hydra.sites import users_modules


class Patches:
    """What was replaced, and by what.

    A name that the user imported (``from numpy.random import seed``) is replaced in the user's modules too: such an
    import ran before the session began, or runs while it lasts and keeps the replacement.
    """

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []
        self._pairs: list[tuple[Any, Any]] = []

    def attribute(self, owner: Any, name: str, replacement: Any) -> None:
        """Replace ``owner.name``."""
        had = name in vars(owner)
        original = getattr(owner, name)
        setattr(owner, name, replacement)

        def undo() -> None:
            if vars(owner).get(name) is not replacement:
                return  # somebody replaced ours: theirs stays
            if had:
                setattr(owner, name, original)
            else:
                delattr(owner, name)

        self._undo.append(undo)

    def everywhere(self, owner: Any, name: str, replacement: Any) -> None:
        """Replace ``owner.name``, and (with `rebind`) the same object where the user's modules hold it by a name."""
        self._pairs.append((getattr(owner, name), replacement))
        self.attribute(owner, name, replacement)

    def rebind(self) -> None:
        """Replace the names that the user's modules hold; once for all, since it looks at every module."""
        _rebind(self._pairs)

    def undo(self) -> None:
        """Put everything back."""
        for action in reversed(self._undo):
            with contextlib.suppress(AttributeError, TypeError):
                action()
        _rebind([(replacement, original) for original, replacement in self._pairs])
        self._undo.clear()
        self._pairs.clear()


def _rebind(pairs: list[tuple[Any, Any]]) -> None:
    if not pairs:
        return
    by_id = {id(old): new for old, new in pairs}
    for _, module in users_modules():
        space = vars(module)
        for name in [name for name, value in space.items() if id(value) in by_id]:
            space[name] = by_id[id(space[name])]
