"""The states of the named streams that the task holds, for a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from repro_hydra.checkpoint.generators import put, take
from repro_hydra.seed.handed_out import handed_out


def take_streams() -> dict[str, Any]:
    """By the name under which the next attempt knows them again."""
    return {key: take(generator) for key, generator in handed_out.live().items()}


def put_streams(states: Mapping[str, Any]) -> None:
    """Set those that are there to what `take_streams` found."""
    for key, generator in handed_out.live().items():
        if key in states:
            put(generator, states[key])
