"""`repro_hydra.tracking.delivery`: all of it, once, whatever fails in between."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tracked import make_run, never_sent, recorded, same_values

from repro_hydra.record.manifest import read_manifest
from repro_hydra.record.paths import RunPaths
from repro_hydra.tracking import Opened, Point, RunView, deliver
from repro_hydra.tracking.delivery import Delivery, read_state
from repro_hydra.tracking.names import allowed_names
from repro_hydra.tracking.points import BATCH
from repro_hydra.tracking.sender import waited_s
from repro_hydra.tracking.taken import TakenMetrics


class Shaky:
    """A tracker that keeps what it gets, and fails before or after it took it, when told to."""

    def __init__(self, fails: Sequence[bool]) -> None:
        self.points: dict[tuple[int, str], float] = {}
        self.sent = 0
        self.closed: dict[str, Any] = {}
        self._fails = iter(fails)

    def __call__(self, _name: str, _options: Mapping[str, Any]) -> Shaky:
        return self

    def _maybe(self) -> None:
        if next(self._fails, False):
            raise ConnectionError("the line went dead")

    def open(self, run: RunView, remote_id: str | None) -> Opened:
        self._maybe()
        return Opened(remote_id=run.run.run_id, goes_on=remote_id == run.run.run_id)

    def send(self, points: Sequence[Point]) -> None:
        self._maybe()
        for point in points:
            self.sent += len(point.values)
            self.points |= {(point.step, name): value for name, value in point.values.items()}
        self._maybe()

    def close(self, run: RunView) -> None:
        self._maybe()
        self.closed = run.result

    def series(self) -> dict[str, list[tuple[int, float]]]:
        found: dict[str, list[tuple[int, float]]] = {}
        for (step, name), value in sorted(self.points.items()):
            found.setdefault(name, []).append((step, value))
        return found


def test_a_run_is_sent_whole_and_once(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    tracker = Shaky([])
    state = deliver(run, "mine", {}, tracker)
    assert state.complete
    assert same_values(tracker.series(), recorded(run))
    assert tracker.closed["test accuracy"] == 0.9639
    before = tracker.sent
    deliver(run, "mine", {}, tracker)
    assert tracker.sent == before


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three batches, made once: what a delivery adds to it is one folder."""
    lines = [{"loss": float(i), "b": -i / 7} for i in range(3 * BATCH)]
    return make_run(tmp_path_factory.mktemp("long"), lines=lines)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_fails_the_rest_is_sent_later(long_run: Path, seed: int) -> None:
    """A tracker that fails at random ends with the record's values, and nothing acknowledged is sent twice."""
    chance = random.Random(seed)
    run = never_sent(long_run)
    tracker = Shaky([chance.random() < 0.5 for _ in range(40)])
    for _ in range(60):
        try:
            deliver(run, "mine", {}, tracker)
            break
        except ConnectionError:
            state = read_state(RunPaths(run), "mine")
            assert state is not None
            assert state.last_error is not None
    state = read_state(RunPaths(run), "mine")
    assert state is not None
    assert state.complete
    assert same_values(tracker.series(), recorded(run))


def test_half_a_line_is_left_for_later(tmp_path: Path) -> None:
    """A line that is being written is not sent in half."""
    run = make_run(tmp_path, lines=[{"loss": 1.0}])
    metrics = run / ".repro/metrics.jsonl"
    whole = metrics.read_bytes()
    metrics.write_bytes(whole + b'{"step":1,"loss":')
    tracker = Shaky([])
    delivery = Delivery(run, "mine", {}, tracker)
    assert delivery.send_metrics()
    assert not delivery.send_metrics()
    metrics.write_bytes(whole + b'{"step":1,"loss":2.0}\n')
    assert delivery.send_metrics()
    assert tracker.series() == {"loss": [(0, 1.0), (1, 2.0)]}


def test_the_manifest_holds_nothing_of_the_trackers(tmp_path: Path) -> None:
    """They go on after the run, so a manifest with them would not hold."""
    run = make_run(tmp_path)
    deliver(run, "mine", {}, Shaky([]))
    names = {entry.path for entry in read_manifest(RunPaths(run)).files}
    assert ".repro/run.json" in names
    assert not any("tracking" in name for name in names)


def test_params_hold_no_secret(tmp_path: Path) -> None:
    params = RunView(make_run(tmp_path)).params
    assert params["model.width"] == 8
    assert params["api_key"] == "[redacted]"


def test_two_names_never_become_one() -> None:
    import re

    names = allowed_names(["a=b", "a_b", "a:b", "x" * 300], re.compile("[=:]"), 250)
    assert len(set(names.values())) == 4
    assert all(len(name) <= 250 for name in names.values())
    assert names["a_b"] == "a_b"


def test_a_tracker_of_ones_own_from_the_docs_works(tmp_path: Path) -> None:
    """The example in docs/trackers.md, installed as a package would be, gets a run's metrics and result."""
    text = (Path(__file__).parents[2] / "docs/trackers.md").read_text()
    source = text.split("```python\n")[1].split("```")[0]
    assert len([line for line in source.splitlines() if line.strip()]) <= 30
    package = tmp_path / "package"
    (package / "mine-1.0.dist-info").mkdir(parents=True)
    (package / "mine.py").write_text(source)
    (package / "mine-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (package / "mine-1.0.dist-info/entry_points.txt").write_text(text.split("```ini\n")[1].split("```")[0])
    run = make_run(tmp_path)
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path;"
        "from repro_hydra.tracking import deliver;"
        "deliver(Path(sys.argv[2]), 'lines', {'file': sys.argv[3]})"
    )
    target = tmp_path / "lines.txt"
    done = subprocess.run(
        [sys.executable, "-c", program, str(package), str(run), str(target)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "accuracy" in target.read_text()
    assert "completed" in target.read_text()


@pytest.mark.parametrize("given", ["soon", -1, float("nan"), [1]])
def test_a_wait_that_is_none_costs_the_trackers_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: object
) -> None:
    """It is told when the run begins, not by an error when its work is done."""
    options = {"tracking": {"tensorboard": {"wait_s": given}}}
    run = make_run(tmp_path, **options)
    assert json.loads((run / ".repro/run.json").read_text())["status"] == "completed"
    told = capsys.readouterr().err
    assert f"tensorboard.wait_s: expected seconds, from 0 to 86400, found {given!r}" in told
    assert waited_s("mine", {"wait_s": 0}) == 0.0


def test_a_record_that_goes_away_meanwhile_costs_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever asking for the trackers' state raises, the run has ended well."""

    def gone(*_: Any) -> bool:
        raise PermissionError("its folder is not ours any more")

    monkeypatch.setattr("repro_hydra.tracking.beside.is_complete", gone)
    make_run(tmp_path, tracking={"tensorboard": {"wait_s": 60}})
    assert "what the trackers have is not known: its folder is not ours any more" in capsys.readouterr().err


# ---------------------------------------------------------------------- what the task logs itself


class Writer:
    def add_scalar(self, tag: str, scalar_value: float, global_step: int | None = None) -> str:
        return f"{tag}={scalar_value}@{global_step}"


def test_a_librarys_own_method_is_wrapped_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers as before; of a call within a call the outer one is taken."""
    import types

    module = types.ModuleType("torch.utils.tensorboard.writer")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    original = Writer.add_scalar
    taken: list[Any] = []
    source = TakenMetrics(lambda metrics, step: taken.append((dict(metrics), step)))
    source.install(lambda name, action: action() if name == module.__name__ else None)
    assert Writer().add_scalar("loss", 0.5, 3) == "loss=0.5@3"
    assert Writer().add_scalar("step", 1.0) == "step=1.0@None"
    assert taken == [({"loss": 0.5}, 3), ({"step_": 1.0}, None)]
    source.remove()
    assert Writer.add_scalar is original
