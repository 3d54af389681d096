"""``hydra/sweeper=repro_seeds``: the plugin class. What is heavy is in `repro_hydra.repeats`, imported when used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hydra.plugins.sweeper import Sweeper

if TYPE_CHECKING:
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig


class ReproSeedsSweeper(Sweeper):
    """Adds seeds until a rule is satisfied; see `repro_hydra.repeats.options.SeedOptions` for the options."""

    def __init__(self, **options: Any) -> None:
        # late import to keep plugin discovery fast
        from repro_hydra.repeats.sweeper import SeedSweeper

        self.core = SeedSweeper(**options)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hand everything on."""
        self.core.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> Any:
        """Run the seeds."""
        return self.core.sweep(arguments)
