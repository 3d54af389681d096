"""Getting at the task of a single run, which Hydra's callbacks are not handed, and ending a program from there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, NoReturn

from omegaconf import DictConfig

from repro_hydra.session.findings import Misuse, Refused
from repro_hydra.session.say import say
from repro_hydra.session.users_frames import leave_out_our_frames


class Stopped(SystemExit):
    """Ends the program from a callback: any other exception there becomes a warning, and the task would run."""


def stop(message: str, status: int) -> NoReturn:
    """Say it and end the program, from a callback of Hydra or from the task."""
    say(message)
    raise Stopped(status)


def wrap_next_task(wrap: Callable[[Any], Callable[[DictConfig], Any]]) -> None:
    """Pass ``wrap(task)`` instead of the task to the next call of Hydra's `run_job` in this process.

    Whoever calls it: Hydra itself, or a library that starts jobs in Hydra's way (`hydra_zen.launch`).
    """
    import hydra._internal.hydra

    original: Any = hydra._internal.hydra.run_job  # type: ignore[attr-defined]
    modules: list[Any] = list(sys.modules.values())  # anything may stand there
    holders = [
        vars(module)
        for module in modules
        if isinstance(module, ModuleType) and vars(module).get("run_job") is original
    ]

    def run_job(*, task_function: Any, **rest: Any) -> Any:
        for names in holders:
            names["run_job"] = original
        result = original(task_function=wrap(task_function), **rest)
        if isinstance(result._return_value, BaseException):  # which is to be raised from there
            leave_out_our_frames(result._return_value)
        return result

    for names in holders:
        names["run_job"] = run_job


class ExitingTask:
    """Turns our own refusals into an exit: Hydra would print them with a traceback."""

    def __init__(self, task: Callable[[DictConfig], Any]) -> None:
        self._task = task

    def __call__(self, config: DictConfig) -> Any:
        try:
            return self._task(config)
        except (Refused, Misuse) as error:
            stop(str(error), error.exit_status)
