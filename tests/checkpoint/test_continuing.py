"""An interrupted run and its directory: gone on with under its id, refused, or begun again with a clean directory."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from training import make_laboratory

from repro_hydra.config import ReproConf
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.schema import RunRecord, SweepLink
from repro_hydra.record.store import read, write_json
from repro_hydra.session.continuing import continuation_of, earlier_attempt, make_way, value_if_completed
from repro_hydra.session.findings import Misuse
from repro_hydra.session.plan import Job, Plan, SweepPlace
from repro_hydra.session.same_run import differences

LIMIT_S = 60
SCRIPT = """\
import os
import signal
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig

import repro_hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    here = Path(HydraConfig.get().runtime.output_dir)
    with (here / "notes.txt").open("a") as notes:
        for step in range(4):
            repro_hydra.log_metrics({"value": step * cfg.factor})
            print(step, file=notes, flush=True)
            if step == 2 and not os.path.exists("struck"):
                open("struck", "w").close()
                (here / "partial.bin").write_bytes(b"half")
                os.kill(os.getpid(), signal.SIGKILL)
    return 3 * cfg.factor


if __name__ == "__main__":
    main()
"""


class Script:
    """A run that is killed once, and has no checkpoint."""

    def __init__(self, top: Path, home: Path) -> None:
        self.top = top
        self.environment = make_laboratory(top, home).environment
        (top / "train.py").write_text(SCRIPT)
        (top / "conf" / "config.yaml").write_text("seed: 1\nfactor: 2\n")
        (top / ".gitignore").write_text("outputs/\nstruck\n__pycache__/\n")
        self.commit()
        self.run_dir = top / "outputs" / "mine"
        self.record = self.run_dir / ".repro"

    def commit(self) -> None:
        git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org"]
        for command in (["add", "-A"], ["commit", "-qm", "a state"]):
            subprocess.run([*git, *command], cwd=self.top, env=self.environment, check=True, timeout=LIMIT_S)

    def start(self, *arguments: str, resume: bool = True) -> subprocess.CompletedProcess[str]:
        goes_on = ["hydra.callbacks.repro.resume=true"] if resume else []
        return subprocess.run(
            [
                sys.executable,
                "train.py",
                "+repro=standard",
                "hydra.run.dir=outputs/mine",
                *goes_on,
                *arguments,
            ],
            cwd=self.top,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )

    def run(self) -> dict[str, Any]:
        return dict(json.loads((self.record / "run.json").read_text()))


def killed(folder: Path) -> Script:
    """In its first attempt."""
    (folder / "home").mkdir()
    made = Script(folder / "project", folder / "home")
    assert made.start().returncode == -9  # nothing was there to go on with: a new run
    assert (made.run()["status"], made.run()["restarts"]) == ("running", [])
    return made


@dataclass(frozen=True)
class GoneOn:
    """A run that was killed, and then ran to its end."""

    script: Script
    before: dict[str, Any]
    done: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def gone_on(tmp_path_factory: pytest.TempPathFactory) -> GoneOn:
    script = killed(tmp_path_factory.mktemp("script"))
    before = script.run()
    (script.run_dir / "sub").mkdir()
    (script.run_dir / "sub" / "file").touch()
    return GoneOn(script, before, script.start())


def test_another_config_or_other_code_is_refused(tmp_path: Path) -> None:
    """By name, in any mode; the record of the attempt before is not touched."""
    script = killed(tmp_path)
    before = (script.record / "run.json").read_bytes()
    other = script.start("factor=3")
    assert other.returncode == 1
    assert "[continued-with-other-config]" in other.stderr
    assert "another value of factor" in other.stderr
    source = script.top / "train.py"
    source.write_text(SCRIPT.replace("range(4)", "range(5)"))
    changed = script.start()
    source.write_text(SCRIPT)
    assert changed.returncode == 1
    assert "[continued-with-other-code]" in changed.stderr
    assert "with changes in place of commit" in changed.stderr
    assert "Traceback" not in other.stderr + changed.stderr
    assert (script.record / "run.json").read_bytes() == before
    assert (script.run_dir / "partial.bin").exists()


def test_without_a_checkpoint_it_starts_from_the_top_with_a_clean_directory(gone_on: GoneOn) -> None:
    """The same run; what the attempt before left lies aside, and nothing of it is in metrics, files or manifest."""
    script, before, done = gone_on.script, gone_on.before, gone_on.done
    assert done.returncode == 0, done.stderr
    assert "goes on from the top" in done.stderr
    run = script.run()
    assert (run["run_id"], run["started_at"]) == (before["run_id"], before["started_at"])
    (restart,) = run["restarts"]
    assert (restart["reason"], restart["step"], restart["checkpoint"]) == ("lost", 0, None)
    lines = [json.loads(line)["value"] for line in (script.record / "metrics.jsonl").read_text().splitlines()]
    assert lines == [0, 2, 4, 6]
    assert (script.run_dir / "notes.txt").read_text() == "0\n1\n2\n3\n"
    aside = script.record / "attempts" / "1"
    assert {path.name for path in (aside / "outputs").iterdir()} == {
        "notes.txt",
        "partial.bin",
        "sub",
        "train.log",
    }
    assert len((aside / "metrics.jsonl").read_text().splitlines()) == 3
    assert json.loads((aside / "run.json").read_text())["status"] == "running"
    named = {entry["path"] for entry in json.loads((script.record / "manifest.json").read_text())["files"]}
    assert "notes.txt" in named
    assert not [name for name in named if "attempts" in name or name == "partial.bin"]
    assert run["duration_s"] > 0


def test_a_run_that_has_completed_is_not_run_again(gone_on: GoneOn) -> None:
    """Slurm starts a job again that ended within its grace time: its result stands."""
    script = gone_on.script
    before = {path: path.read_bytes() for path in sorted(script.record.rglob("*")) if path.is_file()}
    assert json.loads((script.record / "result.json").read_text()) == {"objective": 6}
    done = script.start()
    assert done.returncode == 0, done.stderr
    assert "this run has completed already" in done.stderr
    assert {path: path.read_bytes() for path in sorted(script.record.rglob("*")) if path.is_file()} == before


OWNER = """\
import os, signal, sys
from pathlib import Path
from repro_hydra.session.lock import WriterLock

WriterLock(Path(sys.argv[1]), os.environ).acquire()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_that_was_killed_right_after_it_had_completed_is_finished(gone_on: GoneOn) -> None:
    """Its manifest is made, and the lock of the one that was killed does not stay."""
    script = gone_on.script
    ended = subprocess.run([sys.executable, "-c", OWNER, str(script.run_dir)], timeout=LIMIT_S)
    assert ended.returncode == -9
    assert len(list(script.run_dir.glob(".repro-lock*"))) == 2
    manifest = script.record / "manifest.json"
    before = json.loads(manifest.read_text())["files"]
    manifest.unlink()
    done = script.start()
    assert done.returncode == 0, done.stderr
    assert "completed without a manifest" in done.stderr
    assert json.loads(manifest.read_text())["files"] == before
    assert list(script.run_dir.glob(".repro-lock*")) == []


def test_a_taken_directory_says_how_to_go_on(gone_on: GoneOn) -> None:
    script = gone_on.script
    done = subprocess.run(
        ["repro-hydra", "run", "--", "python", "train.py", "+repro=strict", "hydra.run.dir=outputs/mine"],
        cwd=script.top, env=script.environment, capture_output=True, text=True, timeout=LIMIT_S,
    )  # fmt: skip
    assert done.returncode == 1
    assert "hydra.callbacks.repro.resume=true" in done.stderr


# ------------------------------------------------------------------ whose attempt it is


def record(paths: RunPaths, **changes: Any) -> RunRecord:
    now = "2026-11-25T10:00:00Z"
    run = RunRecord(run_id="a" * 32, mode="strict", status="running", created_at=now, started_at=now)
    run = msgspec.structs.replace(run, **changes)
    paths.record.mkdir(parents=True, exist_ok=True)
    write_json(paths.run, run)
    return run


def plan(sweep_id: str | None, *, resume: bool = False) -> Plan:
    place = None
    if sweep_id is not None:
        place = SweepPlace(sweep_id=sweep_id, sweep_dir="/s", host="h", pid=1, pid_started_at=0.0)
    return Plan(options=ReproConf(resume=resume), sweep=place)


@pytest.mark.parametrize(
    ("sweep_id", "number", "resume", "same"),
    [
        ("s" * 32, 3, False, True),  # requeued, or sent again by `resume`
        ("s" * 32, 4, False, False),
        ("t" * 32, 3, False, False),
        (None, None, True, False),  # a single run in a job's directory
        (None, None, False, False),
    ],
)
def test_a_job_of_a_sweep_is_known_by_sweep_and_number(
    sweep_id: str | None, number: int | None, resume: bool, same: bool, tmp_path: Path
) -> None:
    paths = RunPaths(tmp_path)
    record(paths, sweep=SweepLink(id="s" * 32, dir="/s", job_num=3))
    job = Job(run_dir=tmp_path, config={}, num=number)
    found = earlier_attempt(paths, plan(sweep_id, resume=resume), job)
    assert (found is not None) is same


def test_another_world_size_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, also where there is no checkpoint: each rank has its own part of the data, and its own numbers."""
    paths, job = RunPaths(tmp_path), Job(run_dir=tmp_path, config={})
    earlier = record(paths, world_size=2)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "3")
    (finding,) = differences(paths, plan(None, resume=True), job, earlier)
    assert (finding.id, finding.severity) == ("continued-with-other-world-size", "blocks")
    assert "that the run began with, 2, found 3" in finding.message
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert differences(paths, plan(None, resume=True), job, earlier) == []


def test_checkpoints_of_another_world_are_no_start_from_the_top(tmp_path: Path) -> None:
    """Where the finding was waived: what is there cannot be gone on with, and is not thrown away unasked."""
    paths = RunPaths(tmp_path)
    earlier = record(paths, world_size=1)
    (paths.checkpoints / "000001-loop1-step4-0123abcd.ranks").mkdir(parents=True)
    with pytest.raises(Misuse, match=r"found some of several ranks.* take the checkpoints away"):
        continuation_of(paths, earlier)


def test_a_single_run_goes_on_only_where_it_is_asked_to(tmp_path: Path) -> None:
    paths, job = RunPaths(tmp_path), Job(run_dir=tmp_path, config={})
    assert earlier_attempt(paths, plan(None, resume=True), job) is None
    record(paths)
    assert earlier_attempt(paths, plan(None), job) is None
    assert earlier_attempt(paths, plan(None, resume=True), job) is not None


@pytest.mark.parametrize(
    ("result", "value"), [({"objective": "NaN"}, None), ({"a": 1, "b": 0.5}, {"a": 1, "b": 0.5})]
)
def test_the_value_of_a_completed_job_is_its_result(
    result: dict[str, Any], value: Any, tmp_path: Path
) -> None:
    """As the task returned it: one number alone, several by name."""
    paths, job = RunPaths(tmp_path), Job(run_dir=tmp_path, config={}, num=3)
    record(paths, status="completed", sweep=SweepLink(id="s" * 32, dir="/s", job_num=3))
    assert value_if_completed(paths, plan("s" * 32), job) == (False, None)  # without a result it runs again
    paths.result.write_text(json.dumps(result))
    completed, found = value_if_completed(paths, plan("s" * 32), job)
    assert completed
    assert found != found if value is None else found == value


def test_making_way_can_be_interrupted_and_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after each single move: the next try ends in the same state, and the record never leaves its place."""
    paths = RunPaths(tmp_path)
    earlier = record(paths, status="interrupted")
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text(name)
    paths.metrics.write_text("{}\n")
    (tmp_path / "other" / ".repro").mkdir(parents=True)
    moved: list[str] = []
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if len(moved) == 2:
            raise KeyboardInterrupt
        moved.append(self.name)
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make_way(paths, continuation_of(paths, earlier))
    assert read(paths.run, RunRecord) == earlier
    aside = make_way(paths, continuation_of(paths, earlier))
    assert sorted(path.name for path in (aside / "outputs").iterdir()) == ["a.txt", "b.txt", "c.txt"]
    assert not paths.metrics.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".repro",
        "other",
    ]  # another run's directory is not ours to move
