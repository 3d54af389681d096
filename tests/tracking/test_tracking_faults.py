"""A real MLflow server over a line that fails in every way: the run goes on, and in the end nothing is missing."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from proxy import Line
from test_mlflow import client, series
from tracked import make_run, never_sent, recorded, same_values

from repro_hydra.record.paths import RunPaths
from repro_hydra.tracking import deliver
from repro_hydra.tracking.delivery import read_state

pytest.importorskip("mlflow")

Fault = Callable[[int, str], "int | str | None"]
LINES = [{"loss": i / 7, "accuracy": 1 - 1 / (i + 1)} for i in range(1200)]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's client, which by itself tries each request for minutes, gives up at once: trying again is ours."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")


@pytest.fixture
def line(server: Any) -> Iterator[Line]:
    with Line(server.uri) as opened:
        yield opened


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("long"), lines=LINES)


def randomly(seed: int, faults: list[int | str]) -> Fault:
    """One request in ten fails, in one of these ways. (To send a run takes some thirty of them.)"""
    chance = random.Random(seed)
    return lambda _number, _path: chance.choice(faults) if chance.random() < 0.1 else None


def until_sent(run: Path, options: dict[str, Any], tries: int = 60) -> str:
    for _ in range(tries):
        try:
            return str(deliver(run, "mlflow", options).remote_id)
        except Exception:  # noqa: BLE001 (whatever the line did to MLflow's client; the state says what)
            state = read_state(RunPaths(run), "mlflow")
            assert state is not None
            assert state.last_error
    raise AssertionError(f"not sent in {tries} tries: {state}")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("faults", [["cut"], ["lose"], [500, 503], [507], [429]], ids=str)
def test_a_failing_line_loses_and_doubles_nothing(
    line: Line, server: Any, long_run: Path, faults: list[int | str]
) -> None:
    """Hung up before or after the server had it, errors, a full disk, too many requests."""
    run = never_sent(long_run)
    line.fault = randomly(len(str(faults)), faults)
    experiment = f"fault {faults}"
    remote = until_sent(run, {"uri": line.uri, "experiment": experiment})
    asked = client(server)
    found = asked.search_runs([asked.get_experiment_by_name(experiment).experiment_id])
    assert [one.info.run_id for one in found] == [remote]
    assert found[0].info.status == "FINISHED"
    got = series(server, remote, ["loss", "accuracy"])
    final = recorded(run)
    got["loss"] = [
        point for point in got["loss"] if point[1] != 0.30000000000000004
    ]  # the result, as last value
    assert same_values(got, final)


@pytest.mark.usefixtures("impatient")
def test_a_wrong_token_is_told(line: Line, tmp_path: Path) -> None:
    """Nothing is sent, the reason is kept, and with the right one all of it is."""
    run = make_run(tmp_path)
    line.fault = lambda _number, _path: 401
    with pytest.raises(Exception, match="as the test wants it"):
        deliver(run, "mlflow", {"uri": line.uri, "experiment": "token"})
    state = read_state(RunPaths(run), "mlflow")
    assert state is not None
    assert "as the test wants it" in str(state.last_error)
    assert not state.complete
    line.fault = lambda _number, _path: None
    assert deliver(run, "mlflow", {"uri": line.uri, "experiment": "token"}).complete


TRAINING = """\
import json, sys, time
import hydra, repro_hydra


@hydra.main(version_base=None, config_path=None)
def main(cfg):
    spent = 0.0
    for step in range(cfg.steps):
        begin = time.perf_counter()
        repro_hydra.log_metrics({"loss": 1 / (step + 1), "rate": float(step)})
        spent += time.perf_counter() - begin
    json.dump(spent, open(cfg.spent, "w"))
    return {"done": 1.0}


main()
"""


def train(folder: Path, uri: str, steps: int, wait_s: float) -> subprocess.CompletedProcess[str]:
    (folder / "train.py").write_text(TRAINING)
    options = {"uri": uri, "wait_s": wait_s, "experiment": "busy"}
    tracking = [f"hydra.callbacks.repro.tracking.mlflow.{name}={value}" for name, value in options.items()]
    return subprocess.run(
        [
            *(sys.executable, "train.py", "+repro=standard", "+repro/tracking=mlflow"),
            *(*tracking, f"+steps={steps}", "+spent=spent.json"),
        ],
        cwd=folder,
        env={**os.environ, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"},
        capture_output=True,
        text=True,
        timeout=200,
    )


@pytest.mark.usefixtures("impatient")
def test_a_slow_server_holds_no_training_up(line: Line, server: Any, tmp_path: Path) -> None:
    """Ten thousand metrics as fast as they come, half a minute a request: what is left is sent later, and is whole."""
    line.delay_s = 30.0
    done = train(tmp_path, line.uri, 5000, wait_s=0.5)
    assert done.returncode == 0, done.stderr
    assert "repro-hydra track sync" in done.stderr
    # Not a measure of speed: had it waited for one answer only, it would have taken longer.
    assert float((tmp_path / "spent.json").read_text()) < line.delay_s
    line.delay_s = 0.0
    (run,) = tmp_path.glob("outputs/*/*")
    remote = until_sent(run, {"uri": server.uri, "experiment": "busy"})
    names = ["loss", "rate"]
    assert same_values(series(server, remote, names), recorded(run))


@pytest.mark.soak
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("seed", range(20))
def test_a_server_killed_at_random(server: Any, tmp_path: Path, seed: int) -> None:
    """The real server, killed while a run is sent and started again: after `sync` it holds what the record holds."""
    run = make_run(tmp_path, lines=[{"loss": i / 7, "accuracy": 1 - 1 / (i + 1)} for i in range(6000)])
    chance = random.Random(seed)
    options = {"uri": server.uri, "experiment": f"killed {seed}"}
    killer = threading.Timer(chance.uniform(0.05, 2.0), server.kill)
    killer.start()
    try:
        deliver(run, "mlflow", options)
    except Exception:  # noqa: BLE001 (the server was killed; what was sent by then stands in the state)
        state = read_state(RunPaths(run), "mlflow")
        assert state is not None
        assert state.last_error
    killer.join()
    server.start()
    remote = until_sent(run, options)
    got = series(server, remote, ["loss", "accuracy"])
    got["loss"] = [point for point in got["loss"] if point[1] != 0.30000000000000004]
    assert same_values(got, recorded(run))
