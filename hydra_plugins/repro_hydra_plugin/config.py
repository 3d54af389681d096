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


_register()
