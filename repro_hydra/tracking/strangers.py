"""Records that this user's key does not vouch for: what they name as a place is neither written to nor sent to.

A record of somebody else, one that was changed since, and one whose process was killed before it could vouch.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from repro_hydra.record.paths import RunPaths

_OF_MLFLOW = "MLFLOW_TRACKING_URI"


class NotOurs(Exception):
    """The record would have us write somewhere, and is not this user's; the text says what to do instead."""


def options_of_anybody(run_dir: Path, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of tracker `name` without the places that the record names.

    Raises
    ------
    NotOurs
        Without them nobody says where to send the run, or a folder of the record's leads out of it.
    """
    paths = RunPaths(run_dir)
    top = os.path.realpath(run_dir)
    ours = [paths.tracking / part for part in (f"{name}.json", f"{name}.lock", "wandb")]
    for folder in (*ours, run_dir / "tensorboard"):
        if not Path(os.path.realpath(folder)).is_relative_to(top):
            raise NotOurs(
                f"{folder} leads out of the record's folder, and this user's key does not vouch for it"
            )
    if name == "mlflow" and not os.environ.get(_OF_MLFLOW):
        where = options.get("uri") or "where the run was started"
        raise NotOurs(
            f"expected this user's key to vouch for a record that says where to send it ({where}), found that it does "
            f"not. Say it yourself: {_OF_MLFLOW}=URI repro-hydra track sync {shlex.quote(str(run_dir))}"
        )
    of_places = {"mlflow": "uri", "tensorboard": "dir"}
    return {option: value for option, value in options.items() if option != of_places.get(name)}
