"""A traceback as the user of a task knows it: without the frames of this package that called the task."""

from __future__ import annotations

import os
from types import TracebackType

from repro_hydra.sites import OURS


def full_errors() -> bool:
    """Whether Hydra is asked for complete tracebacks."""
    return bool(os.environ.get("HYDRA_FULL_ERROR"))


def from_the_task(trace: TracebackType | None) -> TracebackType | None:
    """`trace` from its first frame that is not this package's; as it is where all of it is ours."""
    inner = trace
    while inner is not None and inner.tb_frame.f_code.co_filename.startswith(OURS):
        inner = inner.tb_next
    return trace if inner is None else inner


def leave_out_our_frames(error: BaseException) -> None:
    """Take the frames of this package that stand between Hydra's and the user's out of what `error` shows.

    Those further in, below a frame of the user's, stay: there something of ours was called, and it raised. Where Hydra
    is asked for complete tracebacks, all stay.
    """
    outer = None if full_errors() else error.__traceback__
    while outer is not None and outer.tb_next is not None:
        inner = from_the_task(outer.tb_next)
        if inner is not outer.tb_next:
            outer.tb_next = inner
            return
        outer = outer.tb_next
