"""Weights & Biases: offline unless there is a key, to be sent later with ``wandb sync``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import wandb

from repro_hydra.tracking.protocol import Opened, Point
from repro_hydra.tracking.view import RunView

_TIME = "repro_time_ms"
"""The time at which a line was logged, where W&B would show that of its sending."""


class WandbTracker:
    """One run; the sweep is its group."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        given = options.get("mode")
        self._mode: Any = given or ("online" if os.environ.get("WANDB_API_KEY") else "offline")
        self._run: Any = None

    def open(self, run: RunView, remote_id: str | None) -> Opened:
        """Begin the run, or go on with it online; an offline one is written anew."""
        folder = run.paths.tracking / "wandb"
        goes_on = self._mode == "online" and remote_id == run.run.run_id
        if self._mode == "offline":
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        record = run.run
        self._run = wandb.init(
            project=self._options.get("project") or record.task or "repro_hydra",
            entity=self._options.get("entity"),
            id=record.run_id,
            name=run.display_name,
            group=record.sweep.id if record.sweep is not None else None,
            job_type="job" if record.sweep is not None else "run",
            tags=record.tags or None,
            notes=record.note,
            config={**run.params, "repro_hydra": run.facts},
            dir=str(folder),
            mode=self._mode,
            resume="allow" if self._mode == "online" else None,
            reinit="create_new",
            settings=wandb.Settings(
                console="off", disable_git=True, disable_code=True, x_disable_stats=True, silent=True
            ),
        )
        return Opened(
            remote_id=record.run_id, goes_on=goes_on, url=self._run.url if self._mode == "online" else None
        )

    def send(self, points: Sequence[Point]) -> None:
        """Log the points. W&B keeps the first of two for one step, so a repetition does no harm."""
        for point in points:
            self._run.log({**point.values, _TIME: point.time_ms}, step=point.step)

    def close(self, run: RunView) -> None:
        """The result and the final facts as summary and config, the record as an artifact."""
        self._run.summary.update(run.result)
        self._run.config.update({"repro_hydra": run.facts}, allow_val_change=True)
        if self._options.get("artifacts", True):
            artifact = wandb.Artifact(f"record-{run.run.run_id}", type="repro-record", metadata=run.facts)
            for file in run.record_files():
                artifact.add_file(str(file), name=file.relative_to(run.paths.record).as_posix())
            self._run.log_artifact(artifact)
        self._run.finish(exit_code=0 if run.run.status == "completed" else 1)

    def abandon(self) -> None:
        """A call failed: let go of the run, which W&B would else call in use."""
        if self._run is not None:
            self._run.finish(exit_code=1)
