"""The local variables of a training loop: running sums, best values, counters, meters.

A loop that is left and entered again must find them, and no two loops name them alike; so the functions between the
loop and `resumable` are looked at themselves. Only what is still read later is kept (see `liveness`).
"""

from __future__ import annotations

import ctypes
import sys
from types import FrameType
from typing import Any

from repro_hydra.checkpoint.errors import CheckpointError
from repro_hydra.checkpoint.liveness import live_after
from repro_hydra.checkpoint.values import Keeper, is_users_module

_OURS = ("repro_hydra.checkpoint", "repro_hydra.session.resume", "contextlib")


class Variables:
    """The variables of the function that entered `resumable`, and of those between it and the loop.

    Parameters
    ----------
    keeper : Keeper
        Knows what is kept already.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._owner: FrameType | None = None

    def begin(self) -> None:
        """The calling function, of the user's, is the one that entered."""
        self._owner = _users_frame(sys._getframe(1))
        if self._owner is not None:
            self._keeper.home = str(self._owner.f_globals.get("__name__", "")).partition(".")[0]
            for value in list(self._owner.f_locals.values()):
                self._keeper.remember_large(value)

    def end(self) -> None:
        """Let go of the function."""
        self._owner = None

    def take(self) -> list[dict[str, Any]]:
        """The variables of each function, innermost first, as plain data."""
        self._keeper.begin()
        return [self._of(frame) for frame in self._frames()]

    def put(self, saved: list[dict[str, Any]]) -> None:
        """Give the variables of the same functions their values back.

        Raises
        ------
        CheckpointError
            The loop is called by other functions than it was.
        """
        frames = self._frames()
        names = [_name(frame) for frame in frames]
        if names != [entry["function"] for entry in saved]:
            raise CheckpointError(
                f"expected the loop within {' in '.join(e['function'] for e in saved)}, found it within "
                f"{' in '.join(names)}: the code is not the one that made the checkpoint"
            )
        for frame, entry in zip(frames, saved, strict=True):
            current = frame.f_locals
            put = {name: self._keeper.put(current.get(name), node) for name, node in entry["values"]}
            _assign(
                frame, {name: value for name, value in put.items() if value is not None or name in current}
            )

    def _of(self, frame: FrameType) -> dict[str, Any]:
        live = live_after(frame.f_code, frame.f_lasti)
        values = []
        for name, value in frame.f_locals.items():
            if name in live and not name.startswith("__"):
                node = self._keeper.take(value, name)
                if node is not None:
                    values.append((name, node))
        return {"function": _name(frame), "values": values}

    def _frames(self) -> list[FrameType]:
        """From the loop outwards to the owner, without a library's (tqdm's, between the loop and its iterator).

        Where the owner does not wait for the loop (it was entered in a function that has returned, or in another
        generator): the user's functions that call each other there.
        """
        found: list[FrameType] = []
        nearest: list[FrameType] = []
        left = False
        frame = _users_frame(sys._getframe(2))
        while frame is not None and self._owner is not None:
            users = is_users_module(str(frame.f_globals.get("__name__", "")), self._keeper.home)
            if users:
                found.append(frame)
            left = left or (bool(found) and not users)
            if users and not left:
                nearest.append(frame)
            if frame is self._owner:
                return found
            frame = frame.f_back
        return nearest


class NoVariables(Variables):
    """Keeps none."""

    def __init__(self) -> None:
        super().__init__(Keeper([]))

    def begin(self) -> None:
        return


def _users_frame(frame: FrameType | None) -> FrameType | None:
    while frame is not None and str(frame.f_globals.get("__name__", "")).startswith(_OURS):
        frame = frame.f_back
    return frame


def _name(frame: FrameType) -> str:
    code = frame.f_code
    return str(getattr(code, "co_qualname", code.co_name))


def _assign(frame: FrameType, values: dict[str, Any]) -> None:
    """Set variables of a function that waits for its callee.

    From 3.13 on `f_locals` writes through (PEP 667); before, CPython's own call for debuggers carries it over.
    """
    frame.f_locals.update(values)
    if sys.version_info < (3, 13):
        ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))
