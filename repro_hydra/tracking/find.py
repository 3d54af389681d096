"""Trackers by name: those that come with the package, and those that others register."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any

from repro_hydra.tracking.protocol import Tracker, TrackerFactory

GROUP = "repro_hydra.trackers"
BUILT_IN = {
    "mlflow": ("repro_hydra.tracking.mlflow_tracker", "MlflowTracker"),
    "tensorboard": ("repro_hydra.tracking.tensorboard_tracker", "TensorboardTracker"),
    "wandb": ("repro_hydra.tracking.wandb_tracker", "WandbTracker"),
}


class TrackerMissing(LookupError):
    """No such tracker, or the library that it needs is not installed."""


def known_trackers() -> list[str]:
    return sorted({*BUILT_IN, *(point.name for point in entry_points(group=GROUP))})


def find_tracker(name: str, options: Mapping[str, Any]) -> Tracker:
    """The tracker called `name`.

    Raises
    ------
    TrackerMissing
        Its text says what to install.
    """
    factory: TrackerFactory
    others = [point for point in entry_points(group=GROUP) if point.name == name]
    try:
        if others:
            factory = others[0].load()
        elif name in BUILT_IN:
            module, attribute = BUILT_IN[name]
            factory = getattr(import_module(module), attribute)
        else:
            raise TrackerMissing(why_not_usable(name))
    except ImportError as error:
        raise TrackerMissing(
            f"tracking.{name}: {error.name or error} is not installed. Run: pip install 'repro-hydra[{name}]'"
        ) from None
    return factory(options)


def why_not_usable(name: str) -> str | None:
    """Why tracker `name` can't be used here, told without importing its library; None where it can."""
    if name not in known_trackers():
        return (
            f"tracking.{name}: expected one of {', '.join(known_trackers())}, found no tracker of that name. "
            f"Install the package that brings it (an entry point in the group {GROUP!r})"
        )
    if name in BUILT_IN and find_spec(name) is None:
        return f"tracking.{name}: {name} is not installed. Run: pip install 'repro-hydra[{name}]'"
    return None
