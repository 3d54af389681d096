"""`track sync` of a record that this user's key does not vouch for: nothing is written where the record says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tracked import make_run

from repro_hydra.cli.track_work import sync
from repro_hydra.tracking.view import RunView


def tracked_by(run: Path, **trackers: Any) -> None:
    """As a stranger would write it."""
    file = run / ".repro/config.json"
    config = json.loads(file.read_text())
    config["repro"]["tracking"] = trackers
    file.write_text(json.dumps(config))


def synced(run: Path, capsys: pytest.CaptureFixture[str]) -> tuple[bool, str]:
    ok = sync([run], json=True)
    (line,) = json.loads(capsys.readouterr().out)
    return ok, line["state"]


def test_mlflow_is_sent_only_where_the_user_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the file that it names is made, nor one beside it deleted, nor its sweep's folder made."""
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run, elsewhere = make_run(tmp_path), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "any.new").write_text("mine")
    tracked_by(run, mlflow={"uri": f"sqlite:///{elsewhere}/any", "artifacts": False})
    told = json.loads((run / ".repro/run.json").read_text())
    told |= {"cwd": str(elsewhere), "sweep": {"id": "5" * 32, "dir": str(elsewhere / "sweep"), "job_num": 0}}
    (run / ".repro/run.json").write_text(json.dumps(told))
    ok, state = synced(run, capsys)
    assert not ok
    assert (
        f"found that it does not. Say it yourself: MLFLOW_TRACKING_URI=URI repro-hydra track sync {run}"
        in state
    )
    assert str(elsewhere) in state

    mine = f"sqlite:///{tmp_path}/mine.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mine)
    assert synced(run, capsys) == (True, "sent")
    client = MlflowClient(tracking_uri=mine)
    names = {
        one.info.run_name
        for e in client.search_experiments()
        for one in client.search_runs([e.experiment_id])
    }
    assert names == {"run", "run-sweep-55555555"}
    assert [path.name for path in elsewhere.rglob("*")] == ["any.new"]
    assert (elsewhere / "any.new").read_text() == "mine"
    assert RunView(run).run.cwd == str(elsewhere)


def test_tensorboards_files_stay_in_the_records_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the folder that they would go to is a link."""
    run, elsewhere = make_run(tmp_path), tmp_path / "elsewhere"
    elsewhere.mkdir()
    tracked_by(run, tensorboard={"dir": str(elsewhere)})
    (run / "tensorboard").symlink_to(elsewhere)
    ok, state = synced(run, capsys)
    assert not ok
    assert "tensorboard leads out of the record's folder" in state
    (run / "tensorboard").unlink()
    (elsewhere / "mine").write_text("mine")
    (run / ".repro/tracking").mkdir(exist_ok=True)
    (run / ".repro/tracking/tensorboard.lock").symlink_to(elsewhere / "mine")
    ok, state = synced(run, capsys)
    assert not ok
    assert "tensorboard.lock leads out of the record's folder" in state
    assert (elsewhere / "mine").read_text() == "mine"
    (elsewhere / "mine").unlink()
    (run / ".repro/tracking/tensorboard.lock").unlink()
    assert synced(run, capsys) == (True, "sent")
    assert list((run / "tensorboard").iterdir())
    assert not list(elsewhere.iterdir())
