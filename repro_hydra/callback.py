"""Hydra's door for single runs, and the doorkeeper of sweeps: what ``+repro=…`` puts at ``hydra.callbacks.repro``.

This stands in the user's own process and at Hydra's mercy, so here is what that takes: the one restart before anything
else has acted, and failures that Hydra cannot turn into a warning. What is done at a start is in the launcher's
`single_run`, `sweep_start` and `taking_part`, imported once it is known that this process goes on.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from repro_hydra.config import Mode, ReproConf
from repro_hydra.launcher.next_task import stop
from repro_hydra.session import process
from repro_hydra.session.findings import Misuse, Refused
from repro_hydra.session.interpreter import restart_if_needed
from repro_hydra.session.plan import options_from
from repro_hydra.session.recorded import asked_for
from repro_hydra.session.recorded_options import recorded_options
from repro_hydra.session.say import say


class ReproCallback(Callback):
    """Wraps a single run in a session, and a sweep's launcher in ours.

    Parameters
    ----------
    **given
        The node ``hydra.callbacks.repro``; see `repro_hydra.config.ReproConf`.
    """

    def __init__(self, **given: Any) -> None:
        run_mode = given.pop("run_mode", None)
        try:
            self.options: ReproConf = options_from(given)
            recorded = asked_for(os.environ)
            if recorded is not None:
                self.options = recorded_options(recorded, self.options)
        except Misuse as error:
            stop(str(error), error.exit_status)
        self._parent = process.parent_run(os.environ)
        # Before any other callback has acted: what they do would be done twice.
        if run_mode is not None and run_mode == RunMode.RUN and self._parent is None:
            restart_if_needed(self.options)

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Check everything, claim the run directory, and have Hydra run the task within a session."""
        with self._failing_closed():
            from repro_hydra.launcher.taking_part import RankZero, take_part

            if self._parent is not None or process.rank_and_world(os.environ)[0] > 0:
                take_part(config, self.options, None if self._parent is None else self._parent.run_dir)
                return
            rank_zero = RankZero(config, self.options)
            with rank_zero.starting():
                # Imported before anything is created: an import that fails must leave nothing behind.
                from repro_hydra.launcher.single_run import start_run

                start_run(config, self.options, rank_zero)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Check what holds for the whole sweep, and put our launcher around the user's."""
        with self._failing_closed():
            if self._parent is not None:
                say(
                    f"this sweep was started by a job of {self._parent.run_dir}: it is part of that run, and gets no "
                    "record and no isolation of its own"
                )
                return
            from repro_hydra.launcher.sweep_start import start_sweep

            start_sweep(config, self.options)

    @contextmanager
    def _failing_closed(self) -> Iterator[None]:
        """Hydra turns a callback's exception into a warning and runs the task; strict must not."""
        try:
            yield
        except Refused as error:
            stop(str(error), error.exit_status)
        except Misuse as error:
            stop(str(error), error.exit_status)
        except Exception as error:  # noqa: BLE001 (a failure of ours, whatever it is, must be told in our words)
            if os.environ.get("HYDRA_FULL_ERROR"):
                traceback.print_exc()
            if self.options.mode is Mode.strict:
                stop(
                    f"strict refuses to go on after a failure of its own: {type(error).__name__}: {error}", 1
                )
            say(
                f"this run is NOT recorded: repro_hydra failed before the start ({type(error).__name__}: {error})"
            )
