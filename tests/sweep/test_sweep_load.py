"""Runs in Python, and as tables of pandas and xarray."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from made_records import MadeSweep, make_run

import repro_hydra
from repro_hydra.inputs.hook import activate, deactivate
from repro_hydra.inputs.recorder import Recorder
from repro_hydra.record.find import UnresolvedReference
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.where import WhereError


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    made = MadeSweep(tmp_path / "m", [0, 1], variants=[{"lr": 0.1}, {"lr": 0.01}])
    for num, value in enumerate([0.9, 0.8, 0.7]):
        run = made.run(num, {"accuracy": value, "loss": "NaN"})
        RunPaths(run).metrics.write_text(json.dumps({"step": 0, "loss": value}) + "\n")
    made.run(3, error="diverged")
    return tmp_path / "m"


def test_what_a_job_loads_is_an_input_of_it(sweep: Path) -> None:
    """Though this package opens it, whose own reading is nobody's input."""
    recorder = Recorder(from_start=False)
    activate(recorder)
    try:
        repro_hydra.load_runs(sweep)
    finally:
        deactivate()
    seen = {Path(path).name for path, stamp in recorder.reads.items() if stamp is not None}
    assert seen == {"run.json", "config.json", "result.json"}


def test_one_run(sweep: Path) -> None:
    """By directory: its record, config, result and what it logged."""
    run = repro_hydra.load_run(sweep / "1")
    assert (run.seed, run.record.status, run.config["lr"]) == (1, "completed", 0.1)
    assert run.result["accuracy"] == 0.8
    assert math.isnan(run.result["loss"])
    assert run.steps() == {"loss": {0: 0.8}}
    assert run.configuration == {"lr": 0.1}
    with pytest.raises(UnresolvedReference):
        repro_hydra.load_run(sweep / "9")


def test_many_runs_and_an_expression(sweep: Path) -> None:
    """Every status, unless an expression says which."""
    runs = repro_hydra.load_runs(sweep)
    assert len(runs) == 4
    assert [run.seed for run in repro_hydra.load_runs(sweep, where="config.lr == 0.1")] == [0, 1]
    assert len(runs[:2]) == 2
    with pytest.raises(WhereError):
        repro_hydra.load_runs(sweep, where="lr")
    with pytest.raises(FileNotFoundError):
        repro_hydra.load_runs(sweep / "nowhere")


def test_a_damaged_record_is_told(sweep: Path) -> None:
    """Never passed over."""
    RunPaths(sweep / "0").run.write_text("{")
    runs = repro_hydra.load_runs(sweep)
    assert len(runs) == 3
    assert list(runs.problems) == [str(sweep / "0")]


def test_pandas(sweep: Path) -> None:
    """A row a run, with the config's and the result's keys; and one for each logged value."""
    pytest.importorskip("pandas", reason="pandas is not installed (extra `frames`)")
    frame = repro_hydra.load_runs(sweep).to_pandas()
    assert frame.groupby("config.lr")["result.accuracy"].mean().to_dict() == {
        0.01: 0.7,
        0.1: pytest.approx(0.85),
    }
    assert sorted(frame["status"]) == ["completed", "completed", "completed", "failed"]
    steps = repro_hydra.load_runs(sweep).steps_to_pandas()
    assert list(steps["configuration"].unique()) == ["lr=0.01", "lr=0.1"]


def test_xarray(sweep: Path, tmp_path: Path) -> None:
    """Over configuration and seed, with NaN for what is not there; a seed twice is refused."""
    pytest.importorskip("xarray", reason="xarray is not installed (extra `frames`)")
    dataset = repro_hydra.load_runs(sweep).to_xarray()
    assert dict(dataset.sizes) == {"configuration": 2, "seed": 2}
    assert float(dataset["accuracy"].sel(configuration="lr=0.1", seed=1)) == 0.8
    assert math.isnan(float(dataset["accuracy"].sel(configuration="lr=0.01", seed=1)))
    assert list(dataset["lr"].values) == [0.01, 0.1]
    make_run(sweep / "again", seed=0, result={"accuracy": 0.5}, config={"lr": 0.1})
    with pytest.raises(ValueError, match=r"seed 0 of lr=0\.1: expected one run"):
        repro_hydra.load_runs(sweep).to_xarray()
