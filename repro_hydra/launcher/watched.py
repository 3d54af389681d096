"""What Hydra holds in place of the user's sweeper and launcher: each tells the door of the sweep what happens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from repro_hydra.launcher.anew import started_by_hydra_main
from repro_hydra.launcher.detached import SLURM
from repro_hydra.launcher.failed_jobs import FailedJobs
from repro_hydra.launcher.frozen import FrozenConfigLoader
from repro_hydra.launcher.submitted import Submissions
from repro_hydra.launcher.sweep_ledger import SweepLedger
from repro_hydra.repeats.plain import BadRepeats, PlainRepeats
from repro_hydra.session.ending import terminating
from repro_hydra.session.findings import Misuse, Refused
from repro_hydra.session.say import say

SUBMITIT = (SLURM, "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher")


class Door(Protocol):
    """What the sweep's door is told, and asked for."""

    ledger: SweepLedger
    failed: FailedJobs

    @property
    def waits(self) -> bool: ...
    def repeats_for(self, config: DictConfig) -> PlainRepeats | None: ...
    def plan_jobs(
        self,
        loader: FrozenConfigLoader,
        config: DictConfig,
        job_overrides: Sequence[Sequence[str]],
        numbers: Sequence[int],
    ) -> None: ...
    def undo(self) -> None: ...
    def close(self) -> None: ...


class WatchedSweeper:
    """The user's sweeper, with an end that is noticed also when jobs failed."""

    def __init__(self, inner: Any, door: Door) -> None:
        self.inner = inner
        self._door = door

    def sweep(self, arguments: list[str]) -> Any:
        try:
            with terminating():
                return self.inner.sweep(arguments)
        except (Refused, Misuse) as error:
            self._door.undo()
            say(str(error))
            raise SystemExit(error.exit_status) from None
        except Exception as error:
            ledger = self._door.ledger
            shown = self._door.failed.as_shown(error, ledger.record.jobs, ledger.paths.sweep_dir)
            if shown is error or not started_by_hydra_main():  # who calls Hydra by themselves may catch it
                raise
            raise shown from None
        finally:
            self._door.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class WatchedLauncher(Launcher):
    """The launcher that the sweeper sees: plans each batch, and notes what came of it."""

    def __init__(self, inner: Any, door: Door, loader: FrozenConfigLoader, config: DictConfig) -> None:
        self.inner = inner
        self._door = door
        self._loader = loader
        self._config = config

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        raise RuntimeError("the launcher inside is set up already")

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        repeats = self._door.repeats_for(self._config)
        if repeats is None:
            return self._launch(job_overrides, initial_job_idx)
        try:
            jobs = repeats.expand(job_overrides)
            results = self._launch(jobs, initial_job_idx * repeats.count)
            return repeats.merge(results) if self._door.waits else results
        except BadRepeats as error:
            raise Misuse(str(error)) from None

    def _launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        numbers = range(initial_job_idx, initial_job_idx + len(job_overrides))
        self.plan(job_overrides, numbers)
        with self.submissions(job_overrides, numbers, wait=self._door.waits).watched():
            results: Sequence[JobReturn] = self.inner.launch(job_overrides, initial_job_idx=initial_job_idx)
        self._door.ledger.note_results(results, numbers)
        self._door.failed.note(results, numbers)
        return results

    def uses(self, targets: Sequence[str]) -> bool:
        """Whether the launcher inside is one of these classes."""
        return self._config.hydra.launcher.get("_target_") in targets

    def plan(self, job_overrides: Sequence[Sequence[str]], numbers: Sequence[int]) -> None:
        self._door.plan_jobs(self._loader, self._config, job_overrides, numbers)

    def submissions(
        self, job_overrides: Sequence[Sequence[str]], numbers: Sequence[int], *, wait: bool
    ) -> Submissions:
        """What stands between these jobs and submitit; does nothing for another launcher."""
        return Submissions(
            lambda index: self._loader.load_sweep_config(self._config, list(job_overrides[index])),
            lambda ids: self._door.ledger.note_submitted(ids, numbers),
            wait=wait,
            applies=self.uses(SUBMITIT),
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)
