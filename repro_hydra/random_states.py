"""The states of the process's random generators, taken and put back within one process."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


def take_states() -> Callable[[], None]:
    """Note the states of Python's, NumPy's and torch's generators, on every device; what comes back restores them."""
    python = random.getstate()
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    in_numpy = numpy.random.get_state(legacy=False) if numpy is not None else None
    in_torch: Any = torch.get_rng_state() if torch is not None else None
    on_cuda = torch.cuda.get_rng_state_all() if torch is not None and torch.cuda.is_initialized() else None

    def put_back() -> None:
        random.setstate(python)
        if numpy is not None:
            numpy.random.set_state(in_numpy)
        if torch is not None:
            torch.set_rng_state(in_torch)
            if on_cuda is not None:
                torch.cuda.set_rng_state_all(on_cuda)

    return put_back


@contextmanager
def unchanged_states() -> Iterator[None]:
    """Whatever draws within it, the generators are afterwards what they were before."""
    put_back = take_states()
    try:
        yield
    finally:
        put_back()
