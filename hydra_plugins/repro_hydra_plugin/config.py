"""Registers the config groups, so that ``+repro=strict`` works in a script that never imports the package."""

from dataclasses import asdict, dataclass, is_dataclass
from enum import Enum
from typing import Any

from hydra.core.config_store import ConfigStore

from repro_hydra import config as repro


class Start(Enum):
    """How the launcher starts a job's process."""

    auto = "auto"
    fresh = "fresh"


@dataclass
class ReproLauncherConf:
    """``hydra/launcher=repro``."""

    _target_: str = "hydra_plugins.repro_hydra_plugin.launcher.ReproLauncher"
    n_jobs: int = 1
    start: Start = Start.auto
    gpus_per_job: int = 0
    gpus: list[str] | None = None
    stop_at_failure: bool = False


# As a plain mapping: a typed node costs 5 ms at the start of every Hydra program. Hydra refuses other keys all the
# same; the values are checked by `repro_hydra.repeats.options`, which says what each of them does.
REPRO_SEEDS: dict[str, Any] = {
    "_target_": "hydra_plugins.repro_hydra_plugin.sweeper.ReproSeedsSweeper",
    "rule": "width",
    "metric": None,
    "half_width": None,
    "relative_half_width": None,
    "baseline": None,
    "effect": 1.0,
    "negligible": 0.0,
    "confidence": 0.95,
    "initial": 5,
    "batch": 5,
    "max_seeds": 50,
    "max_jobs": None,
    "max_hours": None,
    "first_seed": 0,
    "resume": None,
    "params": None,
}


def _nested(name: str, options: Any) -> dict[str, Any]:
    """An option of a nested group. It brings the callback along, which without a mode would not be there."""
    return {"_target_": repro.CALLBACK_TARGET, name: asdict(options) if is_dataclass(options) else options}


def _register() -> None:
    store = ConfigStore.instance()
    package = f"hydra.callbacks.{repro.CALLBACK_KEY}"
    # Making a typed node costs 5 ms at the start of every Hydra program here: one mode has them all, the others say
    # where they differ from it.
    store.store(
        group="repro", name="strict", node=repro.strict_conf(), package=package, provider="repro_hydra"
    )
    for mode, differs in repro.DIFFERENCES.items():
        node = {"defaults": ["strict", "_self_"], **differs}
        store.store(group="repro", name=mode, node=node, package=package, provider="repro_hydra")
    for group, options in repro.NESTED_GROUPS.items():
        for name, node in options.items():
            store.store(
                group=f"repro/{group}",
                name=name,
                node=_nested(group, node),
                package=package,
                provider="repro_hydra",
            )
    store.store(group="hydra/launcher", name="repro", node=ReproLauncherConf, provider="repro_hydra")
    store.store(group="hydra/sweeper", name="repro_seeds", node=REPRO_SEEDS, provider="repro_hydra")


_register()
