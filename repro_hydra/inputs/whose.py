"""On whose behalf a file is opened: the user's, or this package's own, which keeps its books."""

from __future__ import annotations

import os
import sys
import sysconfig
from types import FrameType

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep  # noqa: PTH100, PTH120
_WATCHING = tuple(os.path.join(_OURS, "inputs", name) for name in ("hook.py", "recorder.py"))  # noqa: PTH118
"""Between whoever asked and `is_bookkeeping`, at each event."""
_FOR_USERS = _OURS + "checkpoint"
"""What of ours opens files on the user's behalf; the rest of the package keeps its own books."""
_STANDARD = tuple(
    {
        os.path.realpath(path) + os.sep
        for name in ("stdlib", "platstdlib")
        if (path := sysconfig.get_path(name)) is not None
    }
    | {os.path.dirname(os.__file__) + os.sep}  # noqa: PTH120
)


def is_bookkeeping() -> bool:
    """Whether this package itself asked, for its own purposes."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        filename = frame.f_code.co_filename
        if filename.startswith(_OURS):
            if not filename.startswith(_WATCHING):
                return not filename.startswith(_FOR_USERS)
        elif not filename.startswith((*_STANDARD, "<frozen")) or f"{os.sep}site-packages{os.sep}" in filename:
            return False
        frame = frame.f_back
    return False
