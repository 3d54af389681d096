"""The session's small rooms: claim, metrics, heartbeat, ending, process, plan and what is said."""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from repro_hydra.config import Mode
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.schema import RunRecord
from repro_hydra.record.store import write_json
from repro_hydra.record.values import as_number, number_to_json
from repro_hydra.session import process
from repro_hydra.session.claim import check_directory, claim_record, reserve_stamped
from repro_hydra.session.ending import Terminated, ending
from repro_hydra.session.findings import Misuse
from repro_hydra.session.heartbeat import Heartbeat
from repro_hydra.session.metrics import MetricsLog
from repro_hydra.session.plan import Job, options_from
from repro_hydra.session.say import say


def a_run(**changes: object) -> RunRecord:
    given = {
        "run_id": "a" * 32,
        "mode": "strict",
        "status": "completed",
        "created_at": "2026-11-23T10:00:00.000000Z",
        "host": process.host(),
    }
    return RunRecord(**(given | changes))  # type: ignore[arg-type]


class TestClaim:
    """The run directory is one run's own."""

    def test_an_earlier_record_is_kept_aside(self, tmp_path: Path) -> None:
        """A second run in the directory overwrites nothing; a third neither, nor what cannot be read."""
        paths = RunPaths(tmp_path / "run")
        assert claim_record(paths) is None
        for content in ("first", "second"):
            write_json(paths.run, a_run(name=content))
            kept = claim_record(paths)
            assert kept is not None
            assert json.loads((kept / "run.json").read_text())["name"] == content
        paths.run.write_text("{")
        assert claim_record(paths) is not None
        assert len(list(paths.earlier.iterdir())) == 3

    def test_a_run_that_is_still_writing_is_left_alone(self, tmp_path: Path) -> None:
        """A live process's directory is refused and stays as it is; once that process is gone it may be had."""
        paths = RunPaths(tmp_path)
        paths.record.mkdir()
        with subprocess.Popen(["sleep", "600"]) as other:
            write_json(
                paths.run,
                a_run(status="running", pid=other.pid, pid_started_at=process.started_at(other.pid)),
            )
            try:
                with pytest.raises(FileExistsError, match="still writing there"):
                    claim_record(paths)
                assert paths.run.is_file()
            finally:
                other.kill()
        assert claim_record(paths) is not None

    def test_a_stamped_name_is_nobody_elses(self, tmp_path: Path) -> None:
        """Twenty runs of the same second get twenty directories."""
        given: list[Path] = []
        threads = [
            threading.Thread(target=lambda: given.append(reserve_stamped(tmp_path / "10-00-00")))
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(given)) == 20
        assert all(path.is_dir() for path in given)

    def test_a_taken_or_impossible_directory_is_found_beforehand(self, tmp_path: Path) -> None:
        """A recorded directory and a file in the way block; a stamped name and a new one don't; nothing is made."""
        (tmp_path / "taken" / ".repro").mkdir(parents=True)
        (tmp_path / "file").touch()
        assert [f.id for f in check_directory(tmp_path / "taken", stamped=False)] == ["run-directory-taken"]
        assert check_directory(tmp_path / "taken", stamped=True) == []
        (found,) = check_directory(tmp_path / "file" / "run", stamped=False)
        assert found.id.startswith("output-not-writable:")
        assert check_directory(tmp_path / "new" / "run", stamped=False) == []
        assert not (tmp_path / "new").exists()


class TestMetrics:
    """One line a logged step."""

    def test_lines_are_counted_and_readable(self, tmp_path: Path) -> None:
        """Steps go on from the last one given; NaN is written by name, so that each line is JSON."""
        log = MetricsLog(tmp_path / "m.jsonl")
        assert (tmp_path / "m.jsonl").read_bytes() == b""
        log.log({"loss": np.float32(0.5)})
        log.log({"loss": float("nan")}, step=7)
        log.log({"accuracy": 1})
        with pytest.raises(ValueError, match=r"step: expected a whole number, found 7\.5"):
            log.log({"accuracy": 2}, step=7.5)  # type: ignore[arg-type]  # not 7, which another line has
        log.close()
        rows = [json.loads(line, parse_constant=pytest.fail) for line in (tmp_path / "m.jsonl").open()]
        assert [row["step"] for row in rows] == [0, 7, 8]
        assert [rows[0]["loss"], rows[1]["loss"]] == [0.5, "NaN"]
        assert log.last == {"loss": "NaN", "accuracy": 1}

    def test_a_short_way_writes_what_the_long_way_writes(self, tmp_path: Path) -> None:
        """Names that were logged before are not looked at again; their values are, each of them."""
        log = MetricsLog(tmp_path / "m.jsonl")
        first = {"null": 0.1, "loss": 5e-324, "n": -0.0}
        inf = float("inf")
        given: list[dict[str, Any]] = [
            *(first, first, {"loss": 1.7976931348623157e308, "n": 2**80}, {"loss": inf, "n": -inf}, {"n": 3}),
            *({"loss": float("nan")}, {"loss": np.float64(0.1), "n": np.int32(-7)}, {"new": 1 / 3}, {}),
        ]
        for values in given:
            log.log(values)
        log.close()
        for values, text in zip(given, (tmp_path / "m.jsonl").open(), strict=True):
            line = json.loads(text)
            assert datetime.fromisoformat(line.pop("time")).tzinfo is not None
            del line["step"]
            assert [(k, repr(v)) for k, v in line.items()] == [
                (k, repr(number_to_json(as_number(v)))) for k, v in values.items()
            ]
        with pytest.raises(ValueError, match="log_metrics: loss: expected a number"):
            log.log({"loss": True})

    def test_a_killed_process_loses_no_line_that_it_logged(self, tmp_path: Path) -> None:
        """SIGKILL within a loop that logs: every call that had returned stands in the file, whole."""
        program = (
            "import itertools, sys; from pathlib import Path; from repro_hydra.session.metrics import MetricsLog\n"
            "log = MetricsLog(Path(sys.argv[1]))\n"
            "for i in itertools.count(): log.log({'i': i, 'x' * 300: i / 7}); print(i, flush=True)"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "m.jsonl")], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for text in process.stdout:
            if text == "500\n":
                process.kill()
        process.wait(timeout=60)
        returned = text if text.endswith("\n") else "500"
        rows = [json.loads(line) for line in (tmp_path / "m.jsonl").open()]
        assert [row["i"] for row in rows] == list(range(len(rows)))
        assert len(rows) > int(returned) >= 500

    @pytest.mark.parametrize(
        "bad", [{"step": 1}, {"time": 1}, {"loss": "low"}, {"loss": None}, {"loss": True}]
    )
    def test_what_is_no_metric_is_refused_whole(self, tmp_path: Path, bad: dict[str, object]) -> None:
        """A reserved name or something that is no number is an error, and nothing of that call is written."""
        log = MetricsLog(tmp_path / "m.jsonl")
        with pytest.raises(ValueError, match="log_metrics: "):
            log.log({"fine": 1.0, **bad})
        assert (tmp_path / "m.jsonl").read_bytes() == b""

    def test_threads_write_whole_lines(self, tmp_path: Path) -> None:
        """Lines of several threads do not mix, and no step is given twice."""
        log = MetricsLog(tmp_path / "m.jsonl")
        threads = [
            threading.Thread(target=lambda: [log.log({"x" * 500: 1}) for _ in range(50)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        log.close()
        steps = [json.loads(line)["step"] for line in (tmp_path / "m.jsonl").open()]
        assert steps == list(range(200))


FULL = """
import os, resource, sys
import repro_hydra
from repro_hydra.session.session import active_session
with repro_hydra.session({}, mode=sys.argv[1], run_dir="run", options={"take_metrics": False}) as run:
    if (child := os.fork()) == 0:
        repro_hydra.log_metrics({"loss": -1.0})
        sys.exit(3 if repro_hydra.current_run() else 4)  # unwinds through the session, which is its parent's
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # no file may grow beyond: the last write is cut short
    for step in range(100):
        run.log_metrics({"loss": step / 7, "rate": 0.1})
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    run.log_metrics({"loss": 2.0})
    active_session()._log_taken({"taken": 1.0}, float("nan"))
    print("trained")
"""


def test_a_disk_that_is_full_ends_no_training(tmp_path: Path) -> None:
    """Lines that find no room are missing whole, the others have the steps they had; it is said once, and recorded.

    (And a forked child logs nothing into its parent's run, and a step of another logger's that is none costs the line.)
    """
    done = subprocess.run(
        [sys.executable, "-c", FULL, "standard"], cwd=tmp_path, capture_output=True, text=True, timeout=100
    )
    assert (done.returncode, done.stdout) == (0, "4\ntrained\n"), done.stderr
    assert done.stderr.count("bookkeeping-failed:metrics") == 2  # where it happens, and at the end
    told = json.loads((tmp_path / "run/.repro/run.json").read_text())
    severity = {one["id"]: one["severity"] for one in told["findings"]}
    assert severity["bookkeeping-failed:metrics"] == severity["bookkeeping-failed:taken-metrics"] == "blocks"
    *lines, last = [json.loads(line) for line in (tmp_path / "run/.repro/metrics.jsonl").open()]
    assert [line["step"] for line in lines] == list(range(len(lines)))
    assert 5 < len(lines) < 100
    assert (last["step"], last["loss"]) == (100, 2.0)


def test_the_heart_survives_a_full_disk_and_stops_for_good() -> None:
    """A beat that fails is followed by others; after `stop` none comes."""
    beats: list[int] = []
    enough = threading.Event()

    def beat() -> None:
        beats.append(1)
        if len(beats) == 3:
            enough.set()
        raise OSError("no space left")

    heart = Heartbeat(beat, interval_s=0.001)
    heart.start()
    assert enough.wait(30)
    heart.stop()
    assert not heart._thread.is_alive()
    Heartbeat(beat).stop()  # one that never started may be stopped


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (None, "completed", None),
        (SystemExit(), "completed", None),
        (SystemExit(0), "completed", None),
        (SystemExit(2), "failed", "SystemExit"),
        (SystemExit("why"), "failed", "SystemExit"),
        (KeyboardInterrupt(), "interrupted", "KeyboardInterrupt"),
        (Terminated(), "interrupted", "SIGTERM"),
        (ValueError("x"), "failed", "ValueError"),
    ],
)
def test_how_a_job_ended(error: BaseException | None, status: str, kind: str | None) -> None:
    """A return, an exit, an interrupt and an error are four endings; exit 0 is a return by another door."""
    found, info = ending(error)
    assert (found, info.type if info else None) == (status, kind)


def test_a_process_is_fresh_until_its_first_job() -> None:
    """The second job of a process knows that it is not alone, and a fork after a job is a process of its own."""
    source = """if True:
        import os
        from repro_hydra.session import process
        print(process.is_fresh())
        process.note_job()
        print(process.is_fresh(), flush=True)
        if os.fork() == 0:
            print(process.is_fresh(), flush=True)
            os._exit(0)
        os.wait()
    """
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["True", "False", "True"], done.stderr


def test_a_child_knows_its_run_and_a_stranger_does_not(tmp_path: Path) -> None:
    """Only a descendant of the announcing process takes part; the variables are gone afterwards."""
    ask = "import os; from repro_hydra.session.process import parent_run; print(parent_run(os.environ))"
    with process.announced(tmp_path):
        assert process.parent_run(os.environ) is None  # not its own child
        done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, timeout=60)
    assert str(tmp_path) in done.stdout
    assert process.RUN_VARIABLE not in os.environ
    with subprocess.Popen(["sleep", "600"]) as stranger:
        given = {process.RUN_VARIABLE: str(tmp_path), process.PID_VARIABLE: str(stranger.pid)}
        assert process.parent_run(given) is None
        stranger.kill()
    assert process.parent_run({**given, process.PID_VARIABLE: "x"}) is None


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, (0, 1)),
        ({"RANK": "2", "WORLD_SIZE": "4"}, (2, 4)),
        ({"RANK": "0", "WORLD_SIZE": "1", "SLURM_PROCID": "3", "SLURM_NTASKS": "8"}, (3, 8)),
        ({"RANK": "x", "WORLD_SIZE": "4"}, (0, 1)),
    ],
)
def test_the_rank_is_what_the_starter_said(environ: dict[str, str], expected: tuple[int, int]) -> None:
    """torchrun's variables, then Slurm's; nonsense is rank 0 of 1."""
    assert process.rank_and_world(environ) == expected


class TestPlan:
    """Options and the configured seed."""

    def test_options_are_typed_and_mistypes_refused(self) -> None:
        """What Hydra hands over becomes dataclasses; an unknown key or a wrong type is an error."""
        options = options_from({"mode": "strict", "allow": {"a:1": 3}, "seed": {"key": "s"}})
        assert (options.mode, options.allow, options.seed.key) == (Mode.strict, {"a:1": "3"}, "s")
        bad: list[dict[str, object]] = [
            {"mdoe": "strict"},
            {"determinism": {"threads": "x"}},
            {"allow": ["a"]},
        ]
        for given in bad:
            with pytest.raises((OmegaConfBaseException, Misuse)):
                options_from(given)

    def test_a_metric_named_by_a_number_has_its_tolerance(self) -> None:
        """YAML reads 1 and 0 as numbers; a record and its readers know names. A slip in one is named all the same."""
        options = options_from({"tolerance": {"metrics": {1: {"rtol": 1}, 0: {"atol": 0.5}}}})
        assert options.tolerance.metrics == {"1": {"rtol": 1}, "0": {"atol": 0.5}}
        for name, wrong in (
            (0, {"rtol": -1}),
            ("", {"rtol": -1}),
            (1, {"atol": 10**400}),
            (1, {"atol": math.inf}),
        ):
            with pytest.raises(Misuse, match=rf"tolerance\.metrics\.{name}\.[ra]tol: expected a number"):
                options_from({"tolerance": {"metrics": {name: wrong}}})

    @pytest.mark.parametrize("make", [dict, OmegaConf.create], ids=["mapping", "DictConfig"])
    def test_the_seed_is_found_at_its_key(self, make: Callable[[dict[str, object]], object]) -> None:
        """Zero is found as zero; a missing, null or half-missing key is None."""
        config = make({"seed": 0, "train": {"seed": 5}, "none": None})
        job = Job(run_dir=Path(), config=config)
        assert [job.configured_seed(key) for key in ("seed", "train.seed", "none", "no", "seed.x")] == [
            0, 5, None, None, None,
        ]  # fmt: skip


def test_what_is_said_is_marked_and_never_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line carries our mark once; a stream that is closed or missing is no reason to fail."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    say("one\nrepro: two")
    assert stream.getvalue() == "repro: one\nrepro: two\n"
    stream.close()
    say("into nothing")
    monkeypatch.setattr(sys, "stderr", None)
    say("to nobody")
