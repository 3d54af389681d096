"""A run that was interrupted and goes on: its tracker ends with the record's values, each of them sent once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from test_delivery import Shaky
from test_strangers import tracked_by
from tracked import make_run, recorded, same_values

from repro_hydra.checkpoint.file import Header
from repro_hydra.checkpoint.shelf import Kept
from repro_hydra.cli.track_work import sync
from repro_hydra.record.paths import RunPaths, SweepPaths
from repro_hydra.record.schema import RunRecord, SweepJob, SweepLink, SweepRecord
from repro_hydra.record.store import read, write_json
from repro_hydra.record.times import utc_now
from repro_hydra.session.continuing import Continuation, make_way
from repro_hydra.session.metrics import MetricsLog
from repro_hydra.tracking import deliver
from repro_hydra.tracking.delivery import Busy, Delivery, Superseded, is_complete, read_state, sole_sender

LINES = [{"loss": i / 7, "rate": float("nan") if i == 4 else 0.5} for i in range(8)]


@pytest.fixture
def eight_lines(made: Path, tmp_path: Path) -> Path:
    """A run of its own; the session that made it is shared."""
    return Path(shutil.copytree(made, tmp_path / "run"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("made"), lines=LINES)


class Attempt:
    """The next attempt at a run: from a checkpoint behind `kept_lines` lines, or from the top."""

    def __init__(self, run: Path, kept_lines: int | None) -> None:
        paths = RunPaths(run)
        kept = None
        if kept_lines is not None:
            size = len(b"".join(paths.metrics.read_bytes().splitlines(keepends=True)[:kept_lines]))
            told = {"size_bytes": size, "next_step": kept_lines, "last": {}}
            kept = Kept(run / "one.ckpt", 1, Header(parts={"metrics": told}))
        earlier = read(paths.run, RunRecord)
        found = Continuation(earlier=earlier, kept=kept)
        make_way(paths, found)
        write_json(paths.run, found.run(earlier))
        self.log = MetricsLog(paths.metrics, so_far=found.metrics)


@pytest.mark.parametrize("looks", ["early", "late"])
@pytest.mark.parametrize("kept_lines", [None, 0, 3, 8])
@pytest.mark.parametrize("sent_lines", [2, 5, 8])
def test_what_is_logged_once_more_is_sent_once(
    eight_lines: Path, monkeypatch: pytest.MonkeyPatch, sent_lines: int, kept_lines: int | None, looks: str
) -> None:
    """The tracker had some of the earlier attempt's lines, or all; the next attempt logs them anew, and more."""
    run = eight_lines
    tracker = Shaky([])
    monkeypatch.setattr("repro_hydra.tracking.points.BATCH", sent_lines)
    Delivery(run, "mine", {}, tracker).send_metrics()
    attempt = Attempt(run, kept_lines)
    delivery = Delivery(run, "mine", {}, tracker)
    for line in [*LINES, {"loss": 9.0}][kept_lines or 0 :]:
        attempt.log.log(line)
        if looks == "early":
            delivery.send_metrics()
    delivery.finish()
    assert same_values(tracker.series(), recorded(run))
    assert tracker.sent == 2 * len(LINES) + 1


def test_other_values_are_sent_too(eight_lines: Path) -> None:
    """Lines of another length, that differ: none is lost, and what is equal is not sent again."""
    run = eight_lines
    tracker = Shaky([])
    Delivery(run, "mine", {}, tracker).send_metrics()
    attempt = Attempt(run, 3)
    for i in range(3, 9):
        attempt.log.log({"loss": LINES[3]["loss"] if i == 3 else i + 1 / 3, "rate": 0.5, "more": 1.0})
    assert deliver(run, "mine", {}, tracker).complete
    assert same_values(tracker.series(), recorded(run))
    assert (
        tracker.sent == 2 * 8 + 6 + 5 + 2
    )  # all before; `more`, other losses, and of `rate` what was NaN or is new


@pytest.mark.parametrize("noted", [False, True])
def test_where_earlier_attempts_were_cleaned_up_nothing_is_lost(eight_lines: Path, noted: bool) -> None:
    """Nobody can tell then what the tracker has: all of it is sent."""
    tracker = Shaky([])
    Delivery(eight_lines, "mine", {}, tracker).send_metrics()
    attempt = Attempt(eight_lines, 3)
    if noted:
        Delivery(eight_lines, "mine", {}, tracker).note()
    (eight_lines / ".repro/attempts/1/metrics.jsonl").unlink()
    for line in [*LINES[3:], {"loss": 9.0}]:
        attempt.log.log(line)
    assert deliver(eight_lines, "mine", {}, tracker).complete
    assert same_values(tracker.series(), recorded(eight_lines))


def test_what_was_complete_is_so_no_more_when_the_run_goes_on(eight_lines: Path) -> None:
    """Of one that had been sent whole (preempted, say) the rest is sent too; and again after a second time."""
    run = eight_lines
    tracker = Shaky([])
    for more in range(2):
        assert deliver(run, "mine", {}, tracker).complete
        attempt = Attempt(run, 5)
        state = read_state(RunPaths(run), "mine")
        assert not is_complete(RunPaths(run), state)
        for line in [*LINES[5:], {"loss": 9.0 + more}]:
            attempt.log.log(line)
    assert deliver(run, "mine", {}, tracker).complete
    assert same_values({"loss": tracker.series()["loss"][-1:]}, {"loss": [(8, 10.0)]})
    assert tracker.sent == 2 * len(LINES) + 2
    deliver(run, "mine", {}, tracker)
    assert tracker.sent == 2 * len(LINES) + 2


def test_who_sends_for_an_earlier_attempt_stops(
    eight_lines: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It does not take the next attempt's lines for its own; and nobody else sends while it does."""
    run, paths = eight_lines, RunPaths(eight_lines)
    tracker = Shaky([])
    earlier = Delivery(run, "mine", {}, tracker)
    earlier.send_metrics()
    with sole_sender(paths, "mine"), sole_sender(paths, "tensorboard"):
        with pytest.raises(Busy, match="another process is sending it to mine"):
            deliver(run, "mine", {}, tracker)
        tracked_by(run, tensorboard={})
        assert not sync([run])
        assert "tensorboard: not sent: " in capsys.readouterr().out
        Attempt(run, 3)
        with pytest.raises(Superseded):
            earlier.finish()
    assert not tracker.closed


@pytest.mark.parametrize("gone_on", [False, True])
def test_who_sends_for_an_earlier_run_writes_into_no_other(eight_lines: Path, gone_on: bool) -> None:
    """The next run in the same directory puts its record aside, and has a state of its own."""
    tracker = Shaky([])
    earlier = Delivery(eight_lines, "mine", {}, tracker)
    earlier.send_metrics()
    if gone_on:
        Attempt(eight_lines, None)
    else:
        make_run(eight_lines.parent, eight_lines.name, lines=LINES[:2])
    before = read_state(RunPaths(eight_lines), "mine")
    with pytest.raises(Superseded):
        earlier.send_metrics()
    earlier.failed(ConnectionError("too late"))
    assert read_state(RunPaths(eight_lines), "mine") == before
    assert (before is None) is not gone_on
    assert tracker.sent == 2 * len(LINES)


def test_mlflow_holds_each_value_once(server: Any, eight_lines: Path) -> None:
    """Seen by its own client: the history of the run that went on is the record's, and its last value the result."""
    pytest.importorskip("mlflow")
    from test_mlflow import client, series

    run = eight_lines
    options = {"uri": server.uri, "experiment": "attempts"}
    Delivery(run, "mlflow", options).send_metrics()
    attempt = Attempt(run, 3)
    Delivery(run, "mlflow", options).note()
    for line in [*LINES[3:], {"loss": 9.0}]:
        attempt.log.log(line)
    Delivery(run, "mlflow", options).send_metrics()
    paths = RunPaths(run)
    write_json(paths.result, {"loss": 0.25})
    write_json(paths.run, msgspec.structs.replace(read(paths.run, RunRecord), ended_at=utc_now()))
    # No line is left to send, and the last step is known all the same.
    state = deliver(run, "mlflow", options)
    history = series(server, str(state.remote_id), ["loss", "rate"])
    expected = recorded(run)
    expected["loss"].append((8, 0.25))
    assert same_values(history, expected)
    assert client(server).get_run(str(state.remote_id)).data.metrics["loss"] == 0.25


def test_a_run_whose_process_was_killed_is_so_in_mlflow(
    server: Any, eight_lines: Path, tmp_path: Path
) -> None:
    """Its record says running for ever; the sweep, of which it was the last job, has failed.

    Neither a checkpoint nor the outputs of an attempt before go to the server, which may be large.
    """
    pytest.importorskip("mlflow")
    from test_mlflow import client

    paths, sweep = RunPaths(eight_lines), SweepPaths(tmp_path)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait(timeout=60)
    link = SweepLink(id="5" * 32, dir=str(tmp_path), job_num=0)
    told = msgspec.structs.replace(
        read(paths.run, RunRecord), status="running", pid=dead.pid, ended_at=None, sweep=link
    )
    write_json(paths.run, told)
    sweep.record.mkdir()
    job = SweepJob(num=0, overrides=[], dir=eight_lines.name)
    write_json(
        sweep.sweep,
        SweepRecord(
            sweep_id=link.id, mode="record", created_at=told.created_at, sweeper="s", launcher="l", jobs=[job]
        ),
    )
    for name in ("checkpoints/000001-loop.ckpt", "attempts/1/outputs/weights.pt", "attempts/1/run.json"):
        (paths.record / name).parent.mkdir(parents=True, exist_ok=True)
        (paths.record / name).write_text("{}")
    state = deliver(eight_lines, "mlflow", {"uri": server.uri, "experiment": "killed"})
    asked = client(server)
    run = asked.get_run(str(state.remote_id))
    parent = asked.get_run(run.data.tags["mlflow.parentRunId"])
    assert (run.info.status, parent.info.status) == ("KILLED", "FAILED")
    assert run.data.tags["repro_hydra.status"] == "lost"
    there = {item.path for item in asked.list_artifacts(state.remote_id, "repro")}
    assert "repro/run.json" in there
    assert "repro/checkpoints" not in there
    assert {item.path for item in asked.list_artifacts(state.remote_id, "repro/attempts/1")} == {
        "repro/attempts/1/run.json"
    }


TRACKER = """\
import json
from repro_hydra.tracking import Opened

class Lines:
    def __init__(self, options):
        self.file = options["file"]
    def open(self, run, remote_id):
        return Opened(remote_id="lines", goes_on=remote_id is not None)
    def send(self, points):
        with open(self.file, "a") as stream:
            for point in points:
                print(json.dumps([point.step, point.values["loss"]]), file=stream)
    def close(self, run):
        with open(self.file, "a") as stream:
            print(json.dumps(run.status), file=stream)
"""
KILLED_ONCE = """\
import os, pathlib, signal
import hydra, repro_hydra


@hydra.main(version_base=None, config_path=None)
def main(cfg):
    for i in range(6):
        repro_hydra.log_metrics({"loss": i / 7})
        if i == 3 and not os.path.exists(cfg.mark):
            pathlib.Path(cfg.mark).touch()
            os.kill(os.getpid(), signal.SIGKILL)


main()
"""


def test_a_killed_job_that_is_started_again(tmp_path: Path) -> None:
    """Through Hydra: what it had logged is sent when it is gone, and the attempt from the top sends only the rest."""
    package, project = tmp_path / "package", tmp_path / "project"
    (package / "lines-1.0.dist-info").mkdir(parents=True)
    (package / "lines.py").write_text(TRACKER)
    (package / "lines-1.0.dist-info/METADATA").write_text(
        "Metadata-Version: 2.1\nName: lines\nVersion: 1.0\n"
    )
    (package / "lines-1.0.dist-info/entry_points.txt").write_text(
        "[repro_hydra.trackers]\nlines = lines:Lines\n"
    )
    project.mkdir()
    (project / "train.py").write_text(KILLED_ONCE)
    command = [
        *(sys.executable, "train.py", "+repro=standard", f"+mark={tmp_path / 'mark'}", "hydra.run.dir=out"),
        f"+hydra.callbacks.repro.tracking.lines={{file: {tmp_path / 'sent'}, wait_s: 60}}",
        "hydra.callbacks.repro.resume=true",
    ]
    for code in (-signal.SIGKILL, 0):
        done = subprocess.run(
            command, cwd=project, env={**os.environ, "PYTHONPATH": str(package)}, capture_output=True, text=True,
            timeout=120,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
    assert "not everything was sent" not in done.stderr
    sent = [json.loads(line) for line in (tmp_path / "sent").read_text().splitlines()]
    assert [one for one in sent if isinstance(one, list)] == [[i, i / 7] for i in range(6)]
    assert sent[-1] == "completed"
    assert len(recorded(project / "out")["loss"]) == 6
