"""Where the kernel puts a process's memory: at random, or at the same addresses each time.

A set of objects without a ``__hash__`` of their own iterates in the order of their addresses. Linux lets a program be
started without the randomisation (personality(2), ADDR_NO_RANDOMIZE); containers may refuse it (Docker's default
seccomp profile does), other systems have nothing of the kind. It makes the order likely to be the same, and no more:
one more environment variable moves the heap.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

Layout = Literal["fixed", "randomised"]

_ADDR_NO_RANDOMIZE = 0x0040000
_ASK = 0xFFFFFFFF
_PERSONALITY = Path("/proc/self/personality")
_KERNEL_SWITCH = Path("/proc/sys/kernel/randomize_va_space")


def layout() -> Layout | None:
    """How this process's memory was laid out; None where the platform does not tell."""
    if sys.platform != "linux":
        return None
    try:
        flags: int | None = int(_PERSONALITY.read_text(), 16)
    except (OSError, ValueError):
        flags = _personality(_ASK)
    if flags is not None and flags & _ADDR_NO_RANDOMIZE:
        return "fixed"
    try:
        switched_off = _KERNEL_SWITCH.read_text().strip() == "0"
    except OSError:
        switched_off = False
    if switched_off:
        return "fixed"
    return None if flags is None else "randomised"


def can_be_fixed() -> bool:
    """Whether the kernel would start the next program with a fixed layout."""
    before = _personality(_ASK)
    if before is None or not fix_for_next_program():
        return False
    _personality(before)
    return True


def fix_for_next_program() -> bool:
    """Have whatever this thread executes or forks next laid out at fixed addresses.

    Returns
    -------
    bool
        Whether the kernel agreed.
    """
    before = _personality(_ASK)
    if before is None or _personality(before | _ADDR_NO_RANDOMIZE) is None:
        return False
    now = _personality(_ASK)  # gVisor and others accept the call and do nothing
    return now is not None and bool(now & _ADDR_NO_RANDOMIZE)


@contextmanager
def fixed_for_children(wanted: bool = True) -> Iterator[None]:
    """Have the programs that this thread starts meanwhile laid out at fixed addresses, where the kernel allows.

    The flag belongs to the thread, is inherited at the fork and acts at the exec; this process stays as it is.
    """
    before = _personality(_ASK) if wanted else None
    if before is not None:
        fix_for_next_program()
    try:
        yield
    finally:
        if before is not None:
            _personality(before)


def _personality(flags: int) -> int | None:
    """personality(2): the flags before the call; None where it is refused or unknown."""
    if sys.platform != "linux":
        return None
    import ctypes  # late: a process that is right already needs only to read a file

    try:
        call = ctypes.CDLL(None, use_errno=True).personality
    except (OSError, AttributeError):
        return None
    call.argtypes = [ctypes.c_ulong]
    before = int(call(flags))
    return None if before < 0 else before


def describe_refusal() -> str:
    """Why a layout is not fixed, in words."""
    if sys.platform != "linux":
        return f"{os.name} ({sys.platform}) has no way to ask for it"
    if can_be_fixed():
        return "the process was not started by repro-hydra"
    return "the kernel, or the container's seccomp profile, refuses personality(ADDR_NO_RANDOMIZE)"
