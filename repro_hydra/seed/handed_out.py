"""The named streams that somebody still draws from: their states belong to a checkpoint."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

_Entry = tuple[str, int, Any]


def _references(entry: _Entry) -> int:
    return sys.getrefcount(entry[2])


_OURS = _references(("", 0, object()))
"""How many references there are while nobody else holds it. (NumPy's generators take no weak references.)"""


class HandedOut:
    """Every generator that `rng` gave out in this process, as long as somebody else holds it too.

    A stream is known again in the next attempt by its name, its kind, and the how-manieth call of its round it came
    from: ``augment:numpy:0`` before the loop, ``augment:numpy:0:round`` within one of its rounds.
    """

    def __init__(self) -> None:
        self._made: list[_Entry] = []
        self._calls: Counter[str] = Counter()
        self._round = 0
        self._within = False
        self._prune_at = 64

    def forget(self) -> None:
        """A run begins: what was given out before is none of its own."""
        self._made.clear()
        self._calls.clear()

    def add(self, name: str, kind: str, generator: Any) -> None:
        suffix = ":round" if self._within else ""
        call = f"{name}:{kind}{suffix}"
        key = f"{name}:{kind}:{self._calls[call]}{suffix}"
        self._calls[call] += 1
        self._made.append((key, self._round, generator))
        if len(self._made) >= self._prune_at:
            self._prune()
            self._prune_at = max(64, 2 * len(self._made))

    def in_round(self, within: bool) -> None:
        """A round of a loop begins, or ends."""
        self._within = within
        if within:
            self._round += 1
            for call in [call for call in self._calls if call.endswith(":round")]:
                del self._calls[call]

    def live(self) -> dict[str, Any]:
        """The generators that a checkpoint made now has to hold: of the round under way, and from before the loop."""
        self._prune()
        return {
            key: generator
            for key, made_in, generator in self._made
            if not key.endswith(":round") or (self._within and made_in == self._round)
        }

    def outliving(self) -> list[str]:
        """Streams made within an earlier round and still held: a new attempt would begin them anew."""
        self._prune()
        last = self._round
        return [
            key.partition(":")[0]
            for key, made_in, _ in self._made
            if key.endswith(":round") and made_in < last
        ]

    def _prune(self) -> None:
        self._made = [entry for entry in self._made if _references(entry) > _OURS]


handed_out = HandedOut()
