"""Standard output and error, which a process need not have: a daemon, ``pythonw``, a shell's ``>&-``."""

from __future__ import annotations

import contextlib
import sys


def flush_standard_streams() -> None:
    """Have what was printed so far written.

    Raises
    ------
    OSError
        It cannot be.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(ValueError):  # closed by the program
                stream.flush()
