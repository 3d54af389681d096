"""One sweep, all three trackers at once, no server: each tracker's own reader finds it complete."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import wandb_file
from test_files import as_float32, read_tensorboard
from tracked import SCRIPT, recorded, same_values

for library in ("mlflow", "tensorboard", "wandb"):
    pytest.importorskip(library)

TRACKERS = ("mlflow", "tensorboard", "wandb")
MAKING = """
import sys
from repro_hydra.tracking.mlflow_store import make_whole
make_whole(sys.argv[1])
"""


def without_uri() -> dict[str, str]:
    """The environment of a user who has set up nothing of MLflow's."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "WANDB_"))}


def test_one_sweep_is_complete_in_all_three(tmp_path: Path) -> None:
    """Two jobs at a time begin MLflow's file-less store together; values, results and the sweep are in each."""
    (tmp_path / "train.py").write_text(SCRIPT)
    chosen = [f"+repro/tracking={name}" for name in TRACKERS]
    wait = [f"hydra.callbacks.repro.tracking.{name}.wait_s=1" for name in TRACKERS]
    sweep = [
        *(sys.executable, "train.py", "-m", "+repro=standard", *chosen, *wait, "+seed=1,2"),
        *("hydra/launcher=repro", "hydra.launcher.n_jobs=2", "hydra.sweep.dir=sweep"),
    ]
    done = subprocess.run(sweep, cwd=tmp_path, env=without_uri(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    # What a second was too short for is sent now, from another directory: the store is where the run was started.
    (tmp_path / "elsewhere").mkdir()
    synced = subprocess.run(
        [sys.executable, "-m", "repro_hydra", "track", "sync", str(tmp_path / "sweep"), "--json"],
        cwd=tmp_path / "elsewhere", env=without_uri(), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert synced.returncode == 0, synced.stdout + synced.stderr
    assert sorted(line["tracker"] for line in json.loads(synced.stdout)) == sorted([*TRACKERS, *TRACKERS])
    assert not list((tmp_path / "elsewhere").iterdir())
    runs = [tmp_path / "sweep" / name for name in ("0", "1")]
    for run in runs:
        assert {file.stem for file in (run / ".repro/tracking").glob("*.json")} == set(TRACKERS)
    _is_in_mlflow(tmp_path, runs)
    _is_in_tensorboard(runs)
    _is_in_wandb(runs)


def _is_in_mlflow(folder: Path, runs: list[Path]) -> None:
    from mlflow import MlflowClient

    asked = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    experiment = asked.get_experiment_by_name("train")
    found = {
        run.data.tags.get("repro_hydra.run_id"): run for run in asked.search_runs([experiment.experiment_id])
    }
    assert len(found) == len(runs) + 1
    parent = found.pop(None)
    assert parent.info.status == "FINISHED"
    for run in runs:
        there = found[_told(run)["run_id"]]
        assert there.info.status == "FINISHED"
        assert there.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert there.data.metrics["accuracy"] == _result(run)["accuracy"]
        history = asked.get_metric_history(there.info.run_id, "loss")
        assert same_values({"loss": [(one.step, one.value) for one in history]}, recorded(run))
        files = {Path(item.path).name for item in asked.list_artifacts(there.info.run_id, "repro")}
        assert {"run.json", "config.json", "result.json", "manifest.json"} <= files


def _is_in_tensorboard(runs: list[Path]) -> None:
    for run in runs:
        events = read_tensorboard(run / "tensorboard")
        losses = [(one.step, one.value) for one in events.Scalars("loss")]
        assert losses == [(step, as_float32(value)) for step, value in recorded(run)["loss"]]
        assert [one.value for one in events.Scalars("accuracy")] == [as_float32(_result(run)["accuracy"])]
        assert "_hparams_/session_end_info" in events.summary_metadata


def _is_in_wandb(runs: list[Path]) -> None:
    for run in runs:
        (file,) = run.glob(".repro/tracking/wandb/wandb/offline-run-*/*.wandb")
        there = wandb_file.read(file)
        assert (there["run_id"], there["exit_code"]) == (_told(run)["run_id"], 0)
        assert there["group"] == _told(run)["sweep"]["id"]
        assert there["config"]["seed"] == _told(run)["seed"]
        assert same_values({"loss": there["metrics"]["loss"]}, recorded(run))
        assert there["summary"]["accuracy"] == _result(run)["accuracy"]


def _told(run: Path) -> Any:
    return json.loads((run / ".repro/run.json").read_text())


def _result(run: Path) -> Any:
    return json.loads((run / ".repro/result.json").read_text())


def test_a_store_is_whole_or_not_there(tmp_path: Path) -> None:
    """Half a store, as a killed process leaves it, MLflow never opens again; ours is begun anew, by two at once."""
    from mlflow import MlflowClient

    half = tmp_path / "half.db"
    with contextlib.closing(sqlite3.connect(half)) as database:
        database.execute("CREATE TABLE _alembic_tmp_latest_metrics (run_uuid TEXT)")
        database.commit()
    with pytest.raises(Exception, match="_alembic_tmp_latest_metrics already exists"):
        MlflowClient(tracking_uri=f"sqlite:///{half}")

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    shutil.copy(half, tmp_path / "mlflow.db.new")
    both = [
        subprocess.Popen(
            [sys.executable, "-c", MAKING, uri], stderr=subprocess.PIPE, text=True, env=without_uri()
        )
        for _ in range(2)
    ]
    for process in both:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    assert sorted(file.name for file in tmp_path.glob("mlflow*")) == ["mlflow.db"]
    assert [one.name for one in MlflowClient(tracking_uri=uri).search_experiments()] == ["Default"]
