"""`random` in forked children: from the run's seed, where Python takes it from the system.

Python seeds the global generator of `random` anew in each forked child (``os.register_at_fork`` in ``Lib/random.py``),
so that a worker's draws are other ones in each run. NumPy's and torch's global generators are copied as they are.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager


class _Forks:
    """Counts the forks of this process, and seeds its children."""

    def __init__(self) -> None:
        self._root: str | None = None
        self._count = 0
        self._registered = False

    @contextmanager
    def seeded(self, seed: int) -> Iterator[None]:
        if not self._registered and hasattr(os, "register_at_fork"):
            self._registered = True  # for good: it cannot be taken back. After Python's own, which is older.
            os.register_at_fork(before=self._count_one, after_in_child=self._in_child)
        before = self._root, self._count
        self._root, self._count = str(seed), 0
        try:
            yield
        finally:
            self._root, self._count = before

    def _count_one(self) -> None:
        self._count += 1

    def _in_child(self) -> None:
        if self._root is None:
            return
        self._root, self._count = f"{self._root} {self._count}", 0
        random.seed(f"forked {self._root}")  # a text is hashed by SHA-512, which keeps all of it


_forks = _Forks()


@contextmanager
def seeded_in_forks(seed: int) -> Iterator[None]:
    """Within it each forked child draws numbers from `random` that no other child, and no other seed, has.

    They depend on the seed, and on the how-manieth child of the how-manieth child it is.
    """
    with _forks.seeded(seed):
        yield
