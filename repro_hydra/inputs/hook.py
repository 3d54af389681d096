"""One audit hook for the whole process, which tells the active recorder what is opened.

An audit hook can never be taken out again. Ours is installed once in a process and looks at one name; while no
recorder is active that is all it does. (A hook costs a step of training nothing: 276 and 277 us with and without.)
"""

from __future__ import annotations

import os
import sys
from typing import Any

from repro_hydra.inputs.recorder import Recorder

_state: dict[str, Any] = {"recorder": None, "installed": False}


def active() -> Recorder | None:
    """The recorder that is told of what this process opens, if any."""
    recorder: Recorder | None = _state["recorder"]
    return recorder


def activate(recorder: Recorder) -> None:
    """From now on `recorder` is told of what this process opens."""
    _state["recorder"] = recorder
    if not _state["installed"]:
        _state["installed"] = True
        sys.addaudithook(_hook)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)


def deactivate() -> None:
    """From now on nobody is told."""
    _state["recorder"] = None


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    recorder = _state["recorder"]
    if recorder is None:
        return
    handler = recorder.handlers.get(event)
    if handler is not None:
        try:
            handler(*arguments)
        except Exception as error:  # noqa: BLE001 (it would come out of the user's `open`)
            recorder.failure = f"{event}: {type(error).__name__}: {error}"


def _before_fork() -> None:
    """What a finished worker has opened, the next one need not tell again (an epoch forks new workers)."""
    recorder = active()
    if recorder is not None:
        try:
            recorder.absorb()
        except (OSError, ValueError) as error:
            recorder.failure = f"{recorder.folder}: {error}"


def _after_fork_in_child() -> None:
    recorder = active()
    if recorder is not None:
        try:
            if not recorder.goes_on_in_fork():
                deactivate()
        except OSError:
            deactivate()  # its parent finds a child that did not sign in
