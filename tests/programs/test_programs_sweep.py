"""Sweeps: each job in a fresh process with the right environment, whatever the launcher."""

from __future__ import annotations

import re
import signal
import time
from typing import Any

import psutil
import pytest
from project import Project

LAUNCHERS = {
    "basic": [],
    "repro": ["hydra/launcher=repro", "hydra.launcher.n_jobs=2"],
    "fresh": ["hydra/launcher=repro", "hydra.launcher.start=fresh"],
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "submitit": ["hydra/launcher=submitit_local"],
}


def job(project: Project, number: int, name: str = "result") -> Any:
    return project.record(name, project.root / "sweep" / str(number))


def sweep(project: Project, *arguments: str, status: int | None = 0) -> str:
    return project.run("-m", "+repro=strict", "hydra.sweep.dir=sweep", *arguments, status=status)


@pytest.mark.parametrize("launcher", list(LAUNCHERS))
def test_a_seed_gives_the_same_alone_and_in_a_sweep(project: Project, launcher: str) -> None:
    """Job 3 under each launcher returns what `seed=3` returns alone; nothing leaks from job to job."""
    project.run("+repro=strict", "seed=3", "hydra.run.dir=alone")
    sweep(project, "seed=range(1,4)", *LAUNCHERS[launcher])
    assert job(project, 2) == project.record("result", project.root / "alone")
    assert job(project, 0)["numpy"] != job(project, 1)["numpy"]
    for number in range(3):
        run = job(project, number, "run")
        assert (run["seed"], run["status"], run["upheld"]) == (number + 1, "completed", "yes")
        assert run["findings"] == []
        settings = {row["name"]: row["in_force"] for row in job(project, number, "determinism")["settings"]}
        assert settings["hash_seed"] is True
    planned = project.record("sweep", project.root / "sweep")
    assert [(item["seed"], item["status"]) for item in planned["jobs"]] == [
        (n, "completed") for n in (1, 2, 3)
    ]


def test_module_state_of_one_job_is_not_seen_by_the_next(project: Project) -> None:
    """Under Hydra's own launcher the second job would find what the first left behind."""
    output = sweep(project, "seed=1,2,3")
    assert re.findall("^left (.*)$", output, re.M) == ["1", "1", "1"]


def test_the_scripts_top_level_ran_with_the_arguments_of_one_job(project: Project) -> None:
    """In a job `sys.argv` is that of the job alone, and what the script did at its top is there."""
    text = (project.root / "train.py").read_text()
    text = text.replace("NOISE =", "import sys\nARGV = list(sys.argv)\nNOISE =")
    text = text.replace('"lr": cfg.lr', '"lr": cfg.lr, "argv": " ".join(ARGV)')
    project.write("train.py", text)
    project.commit()
    sweep(project, "seed=1,2", "hydra/launcher=joblib")
    assert job(project, 1)["argv"] == "train.py +repro=strict seed=2"


def test_a_launcher_chosen_in_the_primary_config_is_wrapped_too(project: Project) -> None:
    """So is a sweep that is started by `hydra.mode` instead of `-m`."""
    project.write(
        "conf/config.yaml", "defaults:\n  - override hydra/launcher: joblib\n  - _self_\nseed: 0\nlr: 0.5\n"
    )
    project.commit()
    project.run("+repro=strict", "hydra.mode=MULTIRUN", "hydra.sweep.dir=sweep", "seed=1,2")
    assert job(project, 1, "run")["launcher"] == "joblib"
    assert job(project, 1, "run")["upheld"] == "yes"


def test_a_swept_mode_is_refused(project: Project) -> None:
    """Also where the sweeper's own config sweeps it."""
    output = project.run("-m", "+repro=strict,record", status=1)
    assert "the mode cannot be swept" in output
    project.write(
        "conf/config.yaml", "seed: 0\nlr: 0.5\nhydra: {sweeper: {params: {+repro: 'strict,record'}}}\n"
    )
    output = project.run("-m", status=1)
    assert "the mode cannot be swept" in output
    assert project.records() == []


def test_directories_are_named_without_the_mode_and_never_shared(project: Project) -> None:
    """`override_dirname` does not hold `+repro`; jobs that would share a directory do not start."""
    sweep(project, "seed=1,2", "hydra.sweep.subdir=${hydra.job.override_dirname}")
    assert [run.name for run in project.records()] == ["seed=1", "seed=2"]
    output = project.run(
        "-m", "+repro=strict", "hydra.sweep.dir=other", "hydra.sweep.subdir=same", "seed=1,2", status=1
    )
    assert "[job-directories-shared:same]" in output
    assert "Traceback" not in output
    assert len(project.records()) == 2


def test_a_bad_seed_stops_the_sweep_before_its_first_job(project: Project) -> None:
    """One bad seed among good ones: nothing starts."""
    output = sweep(project, "seed=1,-2", status=2)
    assert "found -2" in output
    assert "Traceback" not in output
    assert project.records() == []


FAILING = """
    if cfg.seed == 1:
        import os
        os.kill(os.getpid(), 9)
    if cfg.seed == 2:
        raise ValueError("two is bad")
"""


@pytest.mark.parametrize("launcher", ["basic", "repro", "fresh"])
def test_a_crash_is_named_and_the_others_go_on(project: Project, launcher: str) -> None:
    """A job killed by a signal and one that raised: both FAILED, by name; the table counts them."""
    text = (
        (project.root / "train.py")
        .read_text()
        .replace("    LEFT_BEHIND.append(1)", f"{FAILING}    LEFT_BEHIND.append(1)")
    )
    project.write("train.py", text)
    project.commit()
    output = sweep(project, "seed=range(4)", *LAUNCHERS[launcher], status=1)
    runs = [job(project, number, "run") for number in range(4)]
    assert [run["status"] for run in runs] == ["completed", "failed", "failed", "completed"]
    assert "SIGKILL" in runs[1]["error"]["message"]
    assert runs[2]["error"]["type"] == "ValueError"
    states = [item["status"] for item in project.record("sweep", project.root / "sweep")["jobs"]]
    assert states == ["completed", "failed", "failed", "completed"]
    assert "2 of 4" in output
    assert "left out" in output


def test_stop_at_failure_starts_no_further_job(project: Project) -> None:
    """The option of those who want to see the first failure at once."""
    text = (
        (project.root / "train.py")
        .read_text()
        .replace("    LEFT_BEHIND.append(1)", f"{FAILING}    LEFT_BEHIND.append(1)")
    )
    project.write("train.py", text)
    project.commit()
    sweep(project, "seed=2,3,4", "hydra/launcher=repro", "hydra.launcher.stop_at_failure=true", status=1)
    assert [run.name for run in project.records()] == ["0"]


SLEEPING = """
    from pathlib import Path
    import os, time
    Path(f"pid-{cfg.seed}").write_text(str(os.getpid()))
    time.sleep(300)
"""


def _wait_for(condition: Any, what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("launcher", ["repro", "fresh"])
def test_no_job_outlives_its_sweep(project: Project, signum: int, launcher: str) -> None:
    """However the parent is ended, no job goes on as an orphan."""
    text = (
        (project.root / "train.py")
        .read_text()
        .replace("    LEFT_BEHIND.append(1)", f"{SLEEPING}    LEFT_BEHIND.append(1)")
    )
    project.write("train.py", text)
    project.commit()
    process = project.start(
        "-m", "+repro=strict", "hydra.sweep.dir=sweep", "seed=1,2", "hydra/launcher=repro",
        "hydra.launcher.n_jobs=2", *LAUNCHERS[launcher][-1:],
    )  # fmt: skip
    files = [project.root / f"pid-{seed}" for seed in (1, 2)]
    try:
        _wait_for(lambda: all(file.exists() and file.read_text() for file in files), "the jobs did not start")
        jobs = [psutil.Process(int(file.read_text())) for file in files]
        process.send_signal(signum)
        process.communicate(timeout=60)
    finally:
        process.kill()
    _wait_for(lambda: not any(_lives(child) for child in jobs), "a job outlived its sweep")
    if signum != signal.SIGKILL:
        assert {job(project, number, "run")["status"] for number in (0, 1)} == {"interrupted"}


def _lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_an_edited_config_does_not_change_the_later_jobs(project: Project) -> None:
    """Each job gets the config that it was planned with."""
    edit = "    from pathlib import Path\n    Path('conf/config.yaml').write_text('seed: 0\\nlr: 99\\n')\n"
    text = (
        (project.root / "train.py")
        .read_text()
        .replace("    LEFT_BEHIND.append(1)", f"{edit}    LEFT_BEHIND.append(1)")
    )
    project.write("train.py", text)
    project.commit()
    sweep(project, "seed=1,2")
    assert [job(project, number)["lr"] for number in (0, 1)] == [0.5, 0.5]
    assert not (project.root / "sweep" / ".repro" / "queue").exists()


def test_an_option_that_is_swept_is_applied_to_each_job(project: Project) -> None:
    """The options of a job are those of its own config."""
    sweep(project, "+repro/seed=default,off")
    assert [job(project, number, "run")["seed_set"] for number in (0, 1)] == [True, False]


def test_starts_in_the_same_second_get_directories_of_their_own(project: Project) -> None:
    """Stamped names collide; records do not."""
    stamp = "hydra.run.dir=out/${now:%Y}"
    for _ in range(3):
        project.run("+repro=strict", stamp)
    assert len(project.records()) == 3
    for _ in range(2):
        project.run("-m", "+repro=strict", "seed=1,2", "hydra.sweep.dir=many/${now:%Y}")
    assert len(project.records()) == 7


def test_without_the_group_the_launcher_isolates_and_records_nothing(project: Project) -> None:
    """No record, no seeds: two jobs draw different numbers, as two processes would."""
    text = (
        (project.root / "train.py")
        .read_text()
        .replace("    return {", '    print("drew", np.random.rand())\n    return {')
    )
    project.write("train.py", text)
    project.commit()
    output = project.run("-m", "hydra/launcher=repro", "seed=1,2", "hydra.sweep.dir=sweep")
    drawn = re.findall("^drew (.*)$", output, re.M)
    assert len(set(drawn)) == 2
    assert re.findall("^left (.*)$", output, re.M) == ["1", "1"]
    assert project.records() == []
    assert not (project.root / "sweep" / ".repro").exists()


def test_gpus_are_shared_out_by_slot(project: Project) -> None:
    """Each job sees the GPUs of its slot; too few are refused with the numbers."""
    text = (
        (project.root / "train.py")
        .read_text()
        .replace(
            "    return {",
            '    import os\n    print("sees", os.environ.get("CUDA_VISIBLE_DEVICES"))\n    return {',
        )
    )
    project.write("train.py", text)
    project.commit()
    slots = ["hydra/launcher=repro", "hydra.launcher.n_jobs=2", "hydra.launcher.gpus_per_job=1"]
    output = sweep(project, "seed=1,2", *slots, "hydra.launcher.gpus=[4,7]")
    assert set(re.findall("^sees (.*)$", output, re.M)) == {"4", "7"}
    output = project.run("-m", "+repro=strict", "seed=1,2", *slots, "hydra.launcher.gpus=[4]", status=1)
    assert "needs 2 GPUs, found 1" in output
