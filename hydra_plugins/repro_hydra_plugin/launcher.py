"""``hydra/launcher=repro``: the plugin class. What is heavy is in `repro_hydra.launcher`, imported when used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra.plugins.launcher import Launcher

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig


class ReproLauncher(Launcher):
    """A process for each job; see `repro_hydra.launcher.isolating.IsolatingLauncher` for the options."""

    def __init__(self, **options: Any) -> None:
        # late import to keep plugin discovery fast
        from repro_hydra.launcher.isolating import IsolatingLauncher

        self.core = IsolatingLauncher(**options)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hand everything on."""
        self.core.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs."""
        return self.core.launch(job_overrides, initial_job_idx)
