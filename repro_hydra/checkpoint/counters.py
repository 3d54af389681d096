"""Counters that somebody put around a loop's batches, and that no restart can set."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator
from typing import Any


def counters_around(batches: Any) -> Iterator[tuple[str, str]]:
    """The name and a message for each."""
    for holder in gc.get_referrers(batches):
        if isinstance(holder, (enumerate, zip, itertools.islice)):
            name = type(holder).__name__
            yield (
                name,
                f"{name}(state.batches(loader)): after a restart within an epoch it counts from the beginning. "
                "For enumerate write state.enumerate(loader); for others count in a variable",
            )
