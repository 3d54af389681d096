"""Processes that take part in a run which another one claims: the ranks of a run, and children of its task."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from repro_hydra.composed import as_written, set_value
from repro_hydra.config import Mode, ReproConf
from repro_hydra.launcher.next_task import stop, wrap_next_task
from repro_hydra.launcher.task import RecordedTask, job_from_hydra
from repro_hydra.session import process
from repro_hydra.session.child import ChildSession
from repro_hydra.session.ranks import CompletedBefore, Meeting, NoRankZero, meeting
from repro_hydra.session.say import say


def take_part(config: DictConfig, options: ReproConf, parent_dir: Path | None) -> None:
    """A child of a run (a DDP rank, a nested command) takes part in it, and claims nothing.

    Parameters
    ----------
    parent_dir : Path or None
        The run of the process that started this one; None for a rank beside rank 0.
    """
    run_dir = _dir_of_rank_zero(config, options) if parent_dir is None else parent_dir
    wrap_next_task(lambda task: ChildTask(task, options, run_dir))


class RankZero:
    """Rank 0 of several: says where the run is, once its record has begun, or that there is none.

    Alone it says nothing.
    """

    def __init__(self, config: DictConfig, options: ReproConf) -> None:
        self._place = None if options.check_only else _meeting(config)
        self._told = False

    @contextmanager
    def starting(self) -> Iterator[None]:
        """While it is not known yet whether there will be a run.

        Raises
        ------
        OSError
            The others cannot be told.
        """
        with self._refusing():
            yield
        if self._place is not None:
            self._place.announce("starting")

    def telling(self, recorded: RecordedTask, run_dir: Path) -> Callable[[DictConfig], Any]:
        """`recorded`, which tells the others when its session has begun: who is earlier would sign into no record."""
        task = recorded.task
        if self._place is None or task is None:
            return recorded

        def begun(config: DictConfig) -> Any:
            self._tell("running", run_dir)
            return task(config)

        def run(config: DictConfig) -> Any:
            with self._refusing():
                value = recorded.with_task(begun)(config)
            self._tell("completed", run_dir)  # it had completed before: a session would have told already
            return value

        return run

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._tell("refused")
            raise

    def _tell(self, state: str, run_dir: Path | None = None) -> None:
        """The first word stands. Where it cannot be written the others hear nothing, and say so themselves."""
        if self._place is not None and not self._told:
            self._told = True
            with suppress(OSError):
                self._place.announce(state, run_dir)


def _dir_of_rank_zero(config: DictConfig, options: ReproConf) -> Path | None:
    """Where rank 0 runs, with this rank's Hydra pointed there and its log beside rank 0's."""
    place = _meeting(config)
    assert place is not None
    if options.check_only:
        stop("check only: rank 0 tells what would block", 0)
    try:
        run_dir = place.wait()
    except CompletedBefore as error:
        stop(str(error), 0)
    except NoRankZero as error:
        if options.mode is Mode.strict:
            stop(str(error), 1)
        say(f"this rank is NOT recorded: {error}")
        return None
    rank, _ = process.rank_and_world(os.environ)
    set_value(config, "hydra.run.dir", str(run_dir))
    set_value(config, "hydra.output_subdir", None)
    set_value(config, "hydra.job.name", f"{config.hydra.job.name}_rank{rank}")
    return run_dir


def _meeting(config: DictConfig) -> Meeting | None:
    return meeting(as_written(config, "hydra.run.dir"), Path.cwd(), os.environ)


class ChildTask:
    """The task of a process that takes part in its parent's run."""

    def __init__(self, task: Callable[[DictConfig], Any], options: ReproConf, run_dir: Path | None) -> None:
        self._task = task
        self._options = options
        self._run_dir = run_dir

    def __call__(self, config: DictConfig) -> Any:
        with ChildSession(self._options, job_from_hydra(config), self._run_dir):
            return self._task(config)
