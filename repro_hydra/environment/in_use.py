"""Whether a distribution is in use: imported in this process, or required by one that is."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterable

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name


class InUse:
    """What this process has imported, and what that requires; found out when first asked."""

    def __init__(self) -> None:
        self._required: dict[str, str | None] | None = None

    def why(self, name: str) -> str | None:
        """``imported``, or ``required by NAME``; None where neither is known."""
        if self._required is None:
            self._required = _required(_imported())
        if name not in self._required:
            return None
        by = self._required[name]
        return "imported" if by is None else f"required by {by}"


def _imported() -> set[str]:
    """Canonical names of the distributions that have a module in `sys.modules`."""
    tops = {name.partition(".")[0] for name in sys.modules}
    owners = importlib.metadata.packages_distributions()
    return {canonicalize_name(owner) for top in tops for owner in owners.get(top, ())}


def _required(imported: Iterable[str]) -> dict[str, str | None]:
    """Each imported distribution, and each that these require, with the one that requires it."""
    found: dict[str, str | None] = dict.fromkeys(imported)
    pending = list(found)
    while pending:
        name = pending.pop()
        for needed in _requirements(name):
            if needed not in found:
                found[needed] = name
                pending.append(needed)
    return found


def _requirements(name: str) -> list[str]:
    """What the installed distribution requires here, without its extras."""
    try:
        lines = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    needed: list[str] = []
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue  # metadata of long ago; pip passes over it too
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            needed.append(canonicalize_name(requirement.name))
    return needed
