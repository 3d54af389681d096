"""``repro-hydra prune``: what no record refers to goes, and nothing else does."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from laboratory import Laboratory, edit

KILLING_SCRIPT = """\
import os
import signal
from pathlib import Path

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    Path(__file__).with_name("beside.txt").write_text("x")
    os.kill(os.getppid(), signal.SIGKILL)


main()
"""


def prune(lab: Laboratory, *arguments: str, code: int = 0, cwd: Path | None = None) -> dict[str, Any]:
    ended = lab.repro("prune", "--json", *arguments, cwd=cwd)
    assert ended.code == code, ended.text
    document: dict[str, Any] = json.loads(ended.out)
    return document


def refs(lab: Laboratory) -> set[str]:
    folder = lab.top / ".git/refs/repro"
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def tree_of(run: Path) -> str:
    return str(json.loads((run / ".repro/code.json").read_text())["tree"])


def test_snapshots_without_a_record_go(lab: Laboratory, tmp_path: Path) -> None:
    """A deleted run's snapshot is dropped; one that some record refers to, wherever it lies, stays."""
    first, second = lab.runs()
    third = tmp_path / "third"
    lab.write("extra.py", "N = 3\n")
    lab.run("+repro=strict", "seed=3", f"hydra.run.dir={third}/run").ok()
    trees = {tree_of(run) for run in (first, second, third / "run")}
    assert refs(lab) == trees
    assert prune(lab)["snapshots"] == []
    gone = tree_of(first)
    shutil.rmtree(first)
    dry = prune(lab, "--dry-run")
    assert [item["ref"] for item in dry["snapshots"]] == [f"refs/repro/{gone}"]
    assert refs(lab) == trees
    assert prune(lab, "--older-than", "1h")["snapshots"] == []
    lab.repro("prune").ok()
    assert refs(lab) == trees - {gone}

    # A place that is out of reach may hold a record of any of them.
    disk = tmp_path / "disk/mounted"
    lab.run("+repro=strict", "seed=3", f"hydra.run.dir={disk}/outputs/run").ok()
    disk.rename(tmp_path / "elsewhere")
    shutil.rmtree(second)
    refused = prune(lab, code=1)
    assert any(str(disk) in line for line in refused["kept"])
    assert refs(lab) == trees - {gone}
    prune(lab, str(tmp_path / "elsewhere"), code=1)
    prune(lab, "--force")
    assert refs(lab) == {tree_of(third / "run")}


def test_what_cannot_be_read_keeps_all(lab: Laboratory) -> None:
    """A damaged record may refer to any snapshot, so none is dropped on its account."""
    first, second = lab.runs()
    shutil.rmtree(first)
    (second / ".repro/code.json").write_text("{")
    before = refs(lab)
    assert any("code.json" in line for line in prune(lab, code=1)["kept"])
    assert refs(lab) == before
    lab.repro("prune", "--older-than", "soon").refused(2, "expected an age")


def test_records_go_on_request_and_never_a_running_one(lab: Laboratory) -> None:
    """Their folders go and the snapshots with them; what the run wrote stays."""
    lab.write("extra.py", "N = 3\n")
    lab.run("-m", "+repro=strict", "seed=1,2").ok()
    first, second, *jobs = lab.runs()
    year = {"created_at": "2020-01-01T00:00:00Z", "ended_at": "2020-01-01T00:00:01Z"}
    edit(first / ".repro/run.json", **year)
    edit(jobs[0] / ".repro/run.json", **year)  # its sweep's other job is new: all or none
    running = {"status": "running", "ended_at": None, "pid": os.getpid(), "pid_started_at": None}
    edit(second / ".repro/run.json", **(year | running))
    assert prune(lab)["records"] == []
    gone, kept = tree_of(first), refs(lab)
    document = prune(lab, "--records")
    assert document["records"] == [str(first)]
    assert not (first / ".repro").exists()
    assert first.is_dir()
    assert (second / ".repro").is_dir()
    assert refs(lab) == kept - {gone}
    for file in (jobs[1] / ".repro/run.json", lab.sweep() / ".repro/sweep.json"):
        edit(file, **year)
    sweep = lab.sweep()
    assert prune(lab, "--records", "--older-than", "2w")["records"] == [str(sweep), *map(str, sorted(jobs))]
    assert not (sweep / ".repro").exists()


def test_leftovers_of_killed_processes(lab: Laboratory, tmp_path: Path) -> None:
    """A sweep that is killed leaves its copy of the code: it goes, what a job wrote there does not."""
    lab.write("train.py", KILLING_SCRIPT)
    ended = lab.run("-m", "+repro=strict", "hydra/launcher=repro", "hydra.launcher.start=fresh", "seed=1")
    assert ended.code == -9, ended.text
    place = tmp_path / "cache/repro-hydra/frozen"
    (left,) = place.iterdir()
    scratch = Path(lab.environment["TMPDIR"])
    old, young, foreign = (scratch / name for name in ("repro-hydra-old", "repro-hydra-young", "other-old"))
    for folder in (old, young, foreign):
        folder.mkdir()
    for folder in (old, foreign):
        os.utime(folder, (time.time() - 90_000,) * 2)
    dry = prune(lab, "--dry-run")
    assert dry["frozen"] == [str(left)]
    assert left.is_dir()
    document = prune(lab)
    assert document["frozen"] == [str(left)]
    assert document["scratch"] == [str(old)]
    assert list(place.iterdir()) == []
    assert (lab.top / "beside.txt").read_text() == "x"
    assert (old.exists(), young.exists(), foreign.exists()) == (False, True, True)
