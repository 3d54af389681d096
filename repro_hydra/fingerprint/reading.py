"""Tensors read where they are: in the host's memory at once, on a device by a number that comes to the host later."""

from __future__ import annotations

from typing import Any, TypeAlias

from repro_hydra.fingerprint.device import Part, copy_of, device_digests, words_of
from repro_hydra.fingerprint.digest import START, NoDigest, mixed, mixed_type, plain, view

Place: TypeAlias = tuple[str, ...]
"""Of a digest in its line."""
Number: TypeAlias = Any
"""A whole number: an `int`, or a tensor of one on a device."""


class Digests:
    """Digests that grow by what is read, each by its place in a line; what devices tell of them comes later."""

    def __init__(self) -> None:
        self.by_place: dict[Place, int] = {}
        self.numbers: list[tuple[Place, Number]] = []
        self._parts: dict[tuple[Place, Any], list[Part]] = {}
        """By place and device."""
        self._copies: list[tuple[Place, Any]] = []

    def read(self, place: Place, tensor: Any, windows: list[tuple[int, int]] | None = None) -> None:
        """Add the bytes of a tensor.

        Parameters
        ----------
        windows : list of (offset, length), optional
            Which of its bytes; all where left out, and where it has fewer by now.
        """
        digest = self.by_place.get(place, START)
        try:
            own = plain(tensor)
        except NoDigest:
            self.by_place[place] = mixed_type(digest, tensor)
            return
        size = own.nbytes
        if windows is None or sum(windows[-1]) > size:
            windows = [(0, size)] if size else []
        if own.is_cpu:
            address = own.data_ptr()
            for offset, length in windows:
                digest = mixed(digest, view(address + offset, length))
        else:
            parts = self._parts.setdefault((place, own.device), [])
            parts += [(own, offset, length) for offset, length in windows]
        self.by_place[place] = digest

    def add(self, place: Place, data: bytes) -> None:
        """Add bytes of another kind."""
        self.by_place[place] = mixed(self.by_place.get(place, START), data)

    def keep(self) -> None:
        """Copy what was read on devices until now: it may change before the step is over."""
        for (place, _), parts in self._parts.items():
            if parts:
                self._copies.append((place, copy_of(parts)))
        self._parts.clear()

    def settle(self) -> None:
        """Have each device make its numbers of what was read there until now; nothing waits for it."""
        groups = [(place, [copied]) for place, copied in self._copies]
        groups += [(place, words_of(parts)) for (place, _), parts in self._parts.items() if parts]
        self._copies.clear()
        self._parts.clear()
        for device in dict.fromkeys(words[0].device for _, words in groups):
            there = [group for group in groups if group[1][0].device == device]
            made = device_digests([words for _, words in there])
            self.numbers += [(place, number) for (place, _), number in zip(there, made, strict=True)]

    def drop(self, place: Place) -> None:
        """Forget what was read for a place."""
        self.by_place.pop(place, None)
        self._parts = {key: parts for key, parts in self._parts.items() if key[0] != place}
        self._copies = [one for one in self._copies if one[0] != place]
        self.numbers = [one for one in self.numbers if one[0] != place]

    def take(self, other: Digests) -> None:
        """Add all of another's, whose places are not among these."""
        self.by_place |= other.by_place
        self.numbers += other.numbers
