"""`repro-hydra resume`: only what failed or never ran, with the code that the sweep began with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from doors_project import Project, load, result, wait_until

SCRIPT = """\
from pathlib import Path

import hydra
import numpy as np

FACTOR = 1


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    if cfg.seed in (1, 3) and not Path(cfg.gate).exists():
        raise ValueError("the gate is shut")
    return FACTOR * cfg.lr * float(np.random.rand())


if __name__ == "__main__":
    main()
"""


def resume(project: Project, sweep: Path, *more: str) -> tuple[int, Any, str]:
    done = subprocess.run(
        [sys.executable, "-m", "repro_hydra", "resume", "--json", str(sweep), *more],
        cwd=project.top.parent,
        env=project.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stderr or "the gate is shut" in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def references(project: Project) -> str:
    """Those that keep snapshots."""
    listed = subprocess.run(
        ["git", "for-each-ref", "--format=%(refname)", "refs/repro"],
        cwd=project.top,
        env=project.environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return listed.stdout


def test_only_what_failed_with_the_frozen_code(project: Project) -> None:
    """Jobs that completed are left alone; the others run as they would have, whatever was edited since."""
    gate = project.top.parent / "gate"
    project.holding(SCRIPT, f"seed: 1\nlr: 0.5\ngate: {gate}\n")
    assert project.run("-m", "+repro=strict", "seed=range(5)").code == 1
    sweep = project.sweep()
    before = {number: load(sweep / str(number), "run") for number in range(5)}
    for path, old, new in (
        ("train.py", "FACTOR = 1", "FACTOR = 99"),
        ("conf/config.yaml", "lr: 0.5", "lr: 99"),
    ):
        project.write(path, (project.top / path).read_text().replace(old, new))

    code, told, _ = resume(project, sweep, "--dry-run")
    assert (code, told["again"]) == (1, [1, 3])
    code, told, _ = resume(project, sweep)
    assert (code, told["ok"], told["again"]) == (1, False, [1, 3])  # the gate is still shut
    gate.touch()
    code, told, text = resume(project, sweep)
    assert (code, told["ok"], told["again"]) == (0, True, [1, 3]), text
    assert [job["status"] for job in told["jobs"]] == ["completed"] * 5
    assert [job["before"] for job in told["jobs"]] == [
        "completed",
        "failed",
        "completed",
        "failed",
        "completed",
    ]
    assert "5 of 5" in text  # the table
    code, told, _ = resume(project, sweep)
    assert (code, told["again"]) == (0, [])

    project.git("checkout", "-q", ".")
    project.run("+repro=strict", "seed=3", "hydra.run.dir=alone").ok()
    assert result(sweep / "3") == result(project.top / "alone")
    after = {number: load(sweep / str(number), "run") for number in range(5)}
    assert all(after[number] == before[number] for number in (0, 2, 4))
    assert after[1]["run_id"] == before[1]["run_id"]
    assert [restart["status"] for restart in after[1]["restarts"]] == ["failed", "failed"]
    record = load(sweep, "sweep")
    assert record["sweep_id"] == before[0]["sweep"]["id"]
    assert [job["status"] for job in record["jobs"]] == ["completed"] * 5
    assert [entry["jobs"] for entry in record["resumed"]] == [[1, 3], [1, 3]]

    # A second `resume` that looked at the jobs when the first had not submitted them yet.
    order = project.top.parent / "again.json"
    order.write_text(json.dumps({"sweep_dir": str(sweep), "numbers": [1, 3], "resumed": 1}))
    late = project.run("-m", "+repro=strict", "seed=range(5)", REPRO_HYDRA_RESUME_SWEEP=str(order))
    assert late.code == 2
    assert "another process went on with it" in late.text
    assert load(sweep, "sweep") == record
    assert not (sweep / ".repro-lock").exists()


def test_code_that_is_gone_is_not_replaced_by_what_lies_there_now(project: Project) -> None:
    """Neither the copy nor the snapshot is left, in a mode that begins without a copy: one sweep of two codes."""
    gate = project.top.parent / "gate"
    project.holding(SCRIPT, f"seed: 1\nlr: 0.5\ngate: {gate}\n")
    project.write("train.py", SCRIPT.replace("FACTOR = 1", "FACTOR = 2"))  # kept by the snapshot alone
    assert project.run("-m", "+repro=standard", "seed=1,2").code == 1
    sweep = project.sweep()
    before = load(sweep, "sweep")
    gate.touch()
    for reference in references(project).split():
        project.git("update-ref", "-d", reference)
    project.write("train.py", SCRIPT.replace("FACTOR = 1", "FACTOR = 99"))
    project.git("reflog", "expire", "--expire=now", "--all")
    project.git("gc", "-q", "--prune=now")
    code, told, text = resume(project, sweep)
    assert (code, told["ok"]) == (1, False)
    assert "[sweep-code-gone]" in text
    assert load(sweep / "0", "run")["restarts"] == []
    assert load(sweep, "sweep")["jobs"] == before["jobs"]
    assert not (sweep / ".repro-lock").exists()


def test_what_is_not_resumed(project: Project) -> None:
    """A sweep that somebody changed is not run unasked, a run is no sweep, and nothing is started for either."""
    project.holding(SCRIPT, f"seed: 1\nlr: 0.5\ngate: {project.top.parent / 'gate'}\n")
    project.run("-m", "+repro=strict", "seed=1,2")
    sweep = project.sweep()
    file = sweep / ".repro" / "sweep.json"
    honest = file.read_text()
    file.write_text(honest.replace('"seed=1"', '"seed=2"'))
    code, told, text = resume(project, sweep)
    assert (code, told) == (2, None)
    assert "they were changed since" in text
    assert "--yes" in text
    file.write_text(honest)
    file.write_text(json.dumps(json.loads(honest) | {"host": "elsewhere", "ended_at": None}))
    code, told, text = resume(project, sweep)
    assert (code, told) == (1, None)
    assert "on elsewhere launched the sweep and may still wait for its jobs" in text
    file.write_text(honest)
    code, told, text = resume(project, sweep / "0")
    assert (code, told) == (2, None)
    assert "expected a sweep" in text


WAITING = SCRIPT.replace(
    "    if cfg.seed in (1, 3)",
    """    Path(cfg.gate + "-waits").touch()
    while not Path(cfg.gate).exists():
        time.sleep(0.02)
    if cfg.seed in (1, 3)""",
).replace("from pathlib", "import time\nfrom pathlib", 1)


def test_one_process_launches_into_a_sweep_directory(project: Project) -> None:
    """While a sweep runs, a second one in its directory and one that goes on with it stop, and change nothing."""
    gate = project.top.parent / "gate"
    project.holding(WAITING, f"seed: 1\nlr: 0.5\ngate: {gate}\n")
    fixed = ["-m", "+repro=standard", "hydra.sweep.dir=fixed", "seed=2"]
    first = project.start(*fixed)
    sweep = project.top / "fixed"
    order = project.top.parent / "again.json"
    order.write_text(json.dumps({"sweep_dir": str(sweep), "numbers": [0], "resumed": 0}))
    try:
        wait_until((project.top.parent / "gate-waits").exists)
        before = (sweep / ".repro" / "sweep.json").read_bytes()
        who = f"{sweep}: process {first.pid} on"
        project.run(*fixed).refused(2, who, "is writing there", "Choose another directory: hydra.sweep.dir=…")
        late = project.run("-m", "+repro=standard", "seed=2", REPRO_HYDRA_RESUME_SWEEP=str(order))
        late.refused(2, who, "Two processes cannot go on with the same sweep")
        assert (sweep / ".repro" / "sweep.json").read_bytes() == before
    finally:
        gate.touch()
        text, _ = first.communicate(timeout=120)
    assert first.returncode == 0, text
    assert load(sweep / "0", "run")["status"] == "completed"
    assert [job["status"] for job in load(sweep, "sweep")["jobs"]] == ["completed"]
    assert load(sweep, "sweep")["resumed"] == []
    assert list(sweep.glob(".repro-lock*")) == []
