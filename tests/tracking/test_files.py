"""TensorBoard and W&B, read back by their own readers."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import wandb_file
from tracked import LINES, RESULT, make_run, recorded, same_values

from repro_hydra.record.manifest import read_manifest
from repro_hydra.record.paths import RunPaths
from repro_hydra.tracking import deliver


def as_float32(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def read_tensorboard(folder: Path) -> Any:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    return events


def test_tensorboard_reads_the_records_values(tmp_path: Path) -> None:
    """Scalars hold 32 bits there; a second delivery replaces the first and doubles nothing."""
    pytest.importorskip("tensorboard")
    run = make_run(tmp_path)
    for _ in range(2):
        deliver(run, "tensorboard", {})
        (run / ".repro/tracking/tensorboard.json").unlink()
    events = read_tensorboard(run / "tensorboard")
    series = [(scalar.step, scalar.value) for scalar in events.Scalars("accuracy")]
    assert series == [(step, as_float32(value)) for step, value in recorded(run)["accuracy"]]
    assert len(events.Scalars("loss")) == len(LINES) + 1  # the result's own, at the last step
    assert events.Scalars("test accuracy")[0].value == as_float32(RESULT["test accuracy"])
    plugin = events.summary_metadata
    assert {"_hparams_/experiment", "_hparams_/session_start_info", "_hparams_/session_end_info"} <= set(
        plugin
    )
    assert not any("tfevents" in entry.path for entry in read_manifest(RunPaths(run)).files)


def test_hparams_hold_the_config(tmp_path: Path) -> None:
    metadata = pytest.importorskip("tensorboard.plugins.hparams.metadata")
    run = make_run(tmp_path)
    deliver(run, "tensorboard", {"dir": "tb"})
    events = read_tensorboard(run / "tb")
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    hparams = metadata.parse_session_start_info_plugin_data(content).hparams
    assert hparams["model.width"].number_value == 8
    assert hparams["model.act"].string_value == "relu"


def test_wandb_offline_holds_the_run(tmp_path: Path) -> None:
    """The file that `wandb sync` would send holds config, metrics, result and the record, and no secret."""
    pytest.importorskip("wandb")
    run = make_run(tmp_path)
    deliver(run, "wandb", {"mode": "offline", "project": "digits"})
    (file,) = run.glob(".repro/tracking/wandb/wandb/offline-run-*/*.wandb")
    there = wandb_file.read(file)
    assert there["config"]["model.width"] == 8
    series = {name: points for name, points in there["metrics"].items() if name != "repro_time_ms"}
    assert same_values(series, recorded(run))
    assert {name: there["summary"][name] for name in RESULT} == RESULT
    data = file.read_bytes()
    assert b"digits" in data
    assert b"repro-record" in data
    assert b"hunter2" not in data


def test_a_tracker_that_nobody_knows_is_told_before_the_start(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "import hydra\n\n\n@hydra.main(version_base=None, config_path=None)\n"
        "def main(cfg):\n    open('ran', 'w')\n\n\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, "train.py", "+repro=standard", "+hydra.callbacks.repro.tracking.nobody={}"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "tracking.nobody" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "ran").exists()
