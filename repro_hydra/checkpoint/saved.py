"""A loop's checkpoint on its way back into the loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from repro_hydra.checkpoint.errors import CheckpointError
from repro_hydra.checkpoint.file import read_checkpoint
from repro_hydra.checkpoint.position import Position
from repro_hydra.checkpoint.shelf import Kept


@dataclass
class Saved:
    """A checkpoint on its way back into the loop."""

    position: Position
    objects: Mapping[str, Any]
    random: Mapping[str, Any]
    variables: Any

    @classmethod
    def read(cls, kept: Kept) -> Saved:
        """What is in it.

        Raises
        ------
        CheckpointError
            It cannot be read, or is no loop's.
        """
        _, payload = read_checkpoint(kept.path)
        try:
            return cls(
                position=Position.of(payload["position"]),
                objects=payload["objects"],
                random=payload["random"],
                variables=payload["variables"],
            )
        except (KeyError, TypeError) as error:
            raise CheckpointError(
                f"{kept.path}: expected a training loop's checkpoint ({error} is missing)"
            ) from None
