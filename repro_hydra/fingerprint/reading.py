"""Tensors read where they are: in the host's memory at once, on a device by a number that comes to the host later."""

from __future__ import annotations

from typing import Any, TypeAlias

from repro_hydra.fingerprint.device import device_digest
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
        self._parts: dict[Place, list[tuple[Any, int, int]]] = {}

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
            self._parts.setdefault(place, []).extend((own, offset, length) for offset, length in windows)
        self.by_place[place] = digest

    def add(self, place: Place, data: bytes) -> None:
        """Add bytes of another kind."""
        self.by_place[place] = mixed(self.by_place.get(place, START), data)

    def settle(self) -> None:
        """Have each device make its numbers of what was read there until now; nothing waits for it."""
        for place, parts in self._parts.items():
            if parts:
                self.numbers.append((place, device_digest(parts)))
        self._parts.clear()

    def take(self, other: Digests) -> None:
        """Add all of another's, whose places are not among these."""
        self.by_place |= other.by_place
        self.numbers += other.numbers
