"""MLflow with a real server: a sweep through Hydra, a server that is killed, and what its reader then finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from proxy import Line
from tracked import LINES, SCRIPT, make_run, recorded, same_values

from repro_hydra.tracking import deliver

pytest.importorskip("mlflow")


def client(server: Any) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=server.uri)


def series(server: Any, run_id: str, names: list[str]) -> dict[str, list[tuple[int, float]]]:
    asked = client(server)
    return {
        name: [(metric.step, metric.value) for metric in asked.get_metric_history(run_id, name)]
        for name in names
    }


def test_the_servers_content_is_the_records(server: Any, tmp_path: Path) -> None:
    """Params, every metric by its bits, result, tags, dataset inputs and files."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a").write_text("1")
    options = {"data": {"datasets": {"digits": str(tmp_path / "data")}}, "note": "a note", "tags": ["pilot"]}
    run_dir = make_run(tmp_path, **options)
    state = deliver(run_dir, "mlflow", {"uri": server.uri, "experiment": "content"})
    assert state.remote_id is not None
    assert state.remote_url is not None
    run = client(server).get_run(state.remote_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["model.width"] == "8"
    assert run.data.params["api_key"] == "[redacted]"
    assert len(run.data.params["long"]) == 6000
    assert run.data.metrics["test accuracy"] == 0.9639
    assert run.data.tags["mlflow.note.content"] == "a note"
    assert run.data.tags["repro_hydra.manifest"].startswith("blake3:")
    assert run.data.tags["mlflow.user"]
    assert [one.dataset.name for one in run.inputs.dataset_inputs] == ["digits"]
    files = {Path(item.path).name for item in client(server).list_artifacts(state.remote_id, "repro")}
    assert {"run.json", "config.json", "result.json", "manifest.json", "metrics.jsonl"} <= files
    got = series(server, state.remote_id, ["accuracy"])
    assert same_values(got, {"accuracy": recorded(run_dir)["accuracy"]})


def test_nan_and_infinity_arrive(server: Any, tmp_path: Path) -> None:
    """MLflow stores infinity as the largest float; NaN as itself."""
    run_dir = make_run(tmp_path)
    state = deliver(run_dir, "mlflow", {"uri": server.uri, "experiment": "nan"})
    got = series(server, str(state.remote_id), ["loss"])["loss"]
    assert len(got) == len(LINES)
    assert got[0] == (0, 1.5)
    assert got[1][1] != got[1][1]
    assert got[2][1] > 1e308


def test_a_sweep_is_a_parent_with_its_jobs(server: Any, swept: str) -> None:
    """Through Hydra, with the sender beside each job; the one that failed is FAILED, and so the parent."""
    asked = client(server)
    experiment = asked.get_experiment_by_name(swept)
    runs = asked.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert sorted(run.info.status for run in children) == ["FAILED", "FAILED", "FINISHED", "FINISHED"]
    assert parent.info.status == "FAILED"
    finished = [run for run in children if run.info.status == "FINISHED"]
    assert sorted(run.data.metrics["accuracy"] for run in finished) == [0.51, 0.52]
    assert all(run.data.metrics["loss"] for run in finished)


def test_what_a_dead_server_did_not_get_is_synced_later(server: Any, tmp_path: Path) -> None:
    """The run is not lost and not failed by it; `track sync` sends it once the server is back, and only once."""
    (tmp_path / "train.py").write_text(SCRIPT)
    command = [
        sys.executable, "train.py", "+repro=standard", "+repro/tracking=mlflow", "+seed=1",
        "hydra.callbacks.repro.tracking.mlflow.wait_s=1", "hydra.callbacks.repro.tracking.mlflow.experiment=later",
    ]  # fmt: skip
    sync = [sys.executable, "-m", "repro_hydra", "track", "sync", "outputs", "--json"]
    impatient = {**os.environ, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}

    def call(arguments: list[str], **more: str) -> subprocess.CompletedProcess[str]:
        environment = {**impatient, **more}
        return subprocess.run(
            arguments, cwd=tmp_path, capture_output=True, text=True, timeout=200, env=environment
        )

    with Line(server.uri) as line:
        line.fault = lambda _number, _path: "cut"
        # The address is the shell's, and `track sync` is run in another one.
        done = call(command, MLFLOW_TRACKING_URI=line.uri)
        assert done.returncode == 0, done.stderr
        assert "repro-hydra track sync" in done.stderr
        early = call(sync)
        assert early.returncode == 1, early.stderr
        assert "Traceback" not in early.stderr
        assert json.loads(early.stdout)[0]["ok"] is False
        line.fault = lambda _number, _path: None
        for state in ("sent", "complete already"):
            late = call(sync)
            assert late.returncode == 0, late.stderr
            assert json.loads(late.stdout)[0]["state"] == state
    asked = client(server)
    experiment = asked.get_experiment_by_name("later")
    (run,) = asked.search_runs([experiment.experiment_id])
    history = asked.get_metric_history(run.info.run_id, "loss")
    assert sorted((m.step, m.value) for m in history) == [(0, 2.0), (1, 1.5), (2, 1 + 1 / 3)]
    assert run.data.metrics["accuracy"] == 0.51


def test_what_the_task_logs_to_mlflow_is_in_the_record(tmp_path: Path) -> None:
    """Its own logging goes where it always went, and into metrics.jsonl; the task returns None."""
    (tmp_path / "train.py").write_text(
        "import hydra, mlflow\n\n\n"
        "@hydra.main(version_base=None, config_path=None)\n"
        "def main(cfg):\n"
        "    mlflow.set_tracking_uri('sqlite:///mlflow.db')\n"
        "    with mlflow.start_run():\n"
        "        for step in range(3):\n"
        "            mlflow.log_metric('loss', 1 / (step + 1), step=step)\n"
        "        mlflow.log_metrics({'a': 1.0, 'b': 2.0}, step=7)\n\n\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, "train.py", "+repro=standard"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    (metrics,) = tmp_path.glob("outputs/*/*/.repro/metrics.jsonl")
    got = recorded(metrics.parents[1])
    assert got == {"loss": [(0, 1.0), (1, 0.5), (2, 1 / 3)], "a": [(7, 1.0)], "b": [(7, 2.0)]}
    assert json.loads((metrics.parent / "result.json").read_text()) == {"loss": 1 / 3, "a": 1.0, "b": 2.0}
