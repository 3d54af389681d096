"""Registers the config groups, so that ``+repro=strict`` works in a script that never imports the package."""

from collections.abc import Callable
from copy import copy, deepcopy
from dataclasses import asdict, dataclass, is_dataclass
from enum import Enum
from typing import Any

from hydra.core.config_store import ConfigNode, ConfigStore
from omegaconf import OmegaConf

from repro_hydra import config_groups
from repro_hydra.config import CALLBACK_KEY, CALLBACK_TARGET


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


# As a plain mapping. Hydra refuses other keys all the same; the values are checked by `repro_hydra.repeats.options`,
# which says what each of them does.
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


class LazyNode(ConfigNode):
    """A stored config that is made when Hydra asks for it.

    Making the typed ones takes 15 ms, which every Hydra program in the environment would pay at its start. Hydra asks
    a copy of the whole store, each time that it composes: what one copy makes, all of them have. Picklable, since
    launchers send Hydra's state to their workers.
    """

    def __init__(self, make: Callable[..., Any], arguments: tuple[Any, ...], stored: ConfigNode) -> None:
        self._make = make
        self._arguments = arguments
        self._made: list[Any] = []
        self._given: Any = None
        super().__init__(stored.name, None, stored.group, stored.package, stored.provider)

    def __deepcopy__(self, memo: dict[int, Any]) -> "LazyNode":
        other = copy(self)
        other._given = deepcopy(self._given, memo)
        return other  # what was made is shared: whoever loads a node from the store gets a copy of that

    @property
    def node(self) -> Any:
        """What this copy was given, else the config that is made once for all copies."""
        if self._given is not None:
            return self._given
        if not self._made:
            self._made.append(OmegaConf.structured(self._make(*self._arguments)))
        return self._made[0]

    @node.setter
    def node(self, value: Any) -> None:
        self._given = value


def mode(name: str) -> Any:
    """``+repro=NAME``: strict has every option, the others say where they differ from it."""
    if name == "strict":
        return config_groups.strict_conf()
    return {"defaults": ["strict", "_self_"], **config_groups.DIFFERENCES[name]}


def nested(group: str, name: str) -> dict[str, Any]:
    """``+repro/GROUP=NAME``. It brings the callback along, which without a mode would not be there."""
    options = config_groups.NESTED_GROUPS[group][name]
    plain = asdict(options) if is_dataclass(options) else options
    return {"_target_": CALLBACK_TARGET, group: plain}


def sweeper() -> dict[str, Any]:
    """``hydra/sweeper=repro_seeds``."""
    return REPRO_SEEDS


def _store(group: str, name: str, make: Callable[..., Any], *arguments: Any) -> None:
    package = f"hydra.callbacks.{CALLBACK_KEY}" if group.split("/")[0] == "repro" else None
    store = ConfigStore.instance()
    store.store(group=group, name=name, node={}, package=package, provider="repro_hydra")
    place: Any = store.repo
    for part in group.split("/"):
        place = place[part]
    file = f"{name}.yaml"
    place[file] = LazyNode(make, arguments, place[file])


def _register() -> None:
    for name in config_groups.MODES:
        _store("repro", name, mode, name)
    for group, options in config_groups.NESTED_GROUPS.items():
        for name in options:
            _store(f"repro/{group}", name, nested, group, name)
    _store("hydra/launcher", "repro", ReproLauncherConf)
    _store("hydra/sweeper", "repro_seeds", sweeper)


_register()
