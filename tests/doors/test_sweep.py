"""Sweeps through Hydra's door: whatever the launcher, each job is what it would be alone."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from doors_project import (
    DRAWING_SCRIPT,
    PLAIN_CONFIG,
    Project,
    is_gone,
    load,
    result,
    wait_until,
)

LEAKY_SCRIPT = """\
import os
import random
import sys
from dataclasses import dataclass
from enum import Enum

import hydra
import numpy as np
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

random.seed(99)
SCALE = random.random()
OmegaConf.register_new_resolver("scaled", lambda value: value * SCALE, replace=True)
LEFT_BEHIND = []


class Kind(Enum):
    SMALL = 1
    LARGE = 2


@dataclass
class Config:
    seed: int = 0
    kind: Kind = Kind.LARGE
    scaled: float = "${scaled:2}"


ConfigStore.instance().store(name="base", node=Config)


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    made = OmegaConf.to_object(cfg)
    drawn = {"python": random.random(), "numpy": float(np.random.rand()), "scaled": cfg.scaled}
    before = len(LEFT_BEHIND), os.environ.get("LEFT_BEHIND"), np.geterr()["over"]
    LEFT_BEHIND.append(cfg.seed)
    os.environ["LEFT_BEHIND"] = "yes"
    np.seterr(over="raise")
    random.seed()
    np.random.seed()
    return drawn | {
        "hash": hash("a") % 1000003,
        "clean": before == (0, None, "warn"),
        "same_classes": isinstance(made, Config) and cfg.kind is Kind.LARGE,
        "main": sys.modules["__main__"].__dict__ is globals(),
        "single": "-m" not in sys.argv and f"seed={cfg.seed}" in sys.argv,
        "home": os.getcwd() == HydraConfig.get().runtime.cwd,
    }


if __name__ == "__main__":
    main()
"""
LEAKY_CONFIG = "defaults:\n  - base\n  - _self_\nseed: 1\n"
FORKED = ["hydra/launcher=repro"]
BASIC: list[str] = []


def leaky(project: Project, config: str = LEAKY_CONFIG) -> Project:
    return project.holding(LEAKY_SCRIPT, config)


def doing(action: str, returned: str = "cfg.seed") -> str:
    """A script whose task does `action` (at four spaces)."""
    return (
        "import os, signal, subprocess, sys, time\nimport hydra\nimport numpy as np\n\n\n"
        '@hydra.main(version_base=None, config_path="conf", config_name="config")\n'
        f"def main(cfg):\n    {action}\n    return {returned}\n\n\n"
        'if __name__ == "__main__":\n    main()\n'
    )


def jobs(sweep: Path) -> dict[int, Any]:
    return {job["num"]: job for job in load(sweep, "sweep")["jobs"]}


def statuses(sweep: Path) -> list[str]:
    return [job["status"] for _, job in sorted(jobs(sweep).items())]


# ---------------------------------------------------------------------- the same alone and in a sweep


@pytest.mark.parametrize(
    ("mode", "launcher"),
    [
        ("strict", BASIC),
        ("strict", FORKED),
        ("strict", [*FORKED, "hydra.launcher.n_jobs=2"]),
        ("strict", [*FORKED, "hydra.launcher.start=fresh"]),
        ("strict", ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]),
        ("strict", ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=2"]),
        ("standard", BASIC),  # one launcher that isolates, and one that is wrapped
        ("standard", ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value) or "default",
)
def test_alone_and_in_a_sweep(project: Project, launcher: list[str], mode: str) -> None:
    """A job gives the same in a sweep as alone: its numbers, its top-level code, its classes, its arguments."""
    variables = {} if mode == "strict" else {"PYTHONHASHSEED": "0"}
    leaky(project).run(f"+repro={mode}", "seed=3", **variables).ok()
    alone = result(project.only_run())
    assert all(alone[key] is True for key in ("clean", "same_classes", "main", "single", "home")), alone
    project.run("-m", f"+repro={mode}", *launcher, "seed=1,2,3").ok()
    sweep = project.sweep()
    assert statuses(sweep) == ["completed"] * 3
    assert [job["seed"] for job in jobs(sweep).values()] == [1, 2, 3]
    assert result(sweep / "2") == alone
    first, second = result(sweep / "0"), result(sweep / "1")
    assert first["clean"] is second["clean"] is True
    assert len({first["numpy"], second["numpy"], alone["numpy"]}) == 3
    record = load(sweep / "2", "run")
    assert record["sweep"]["job_num"] == 2
    assert record["sweep"]["id"] == load(sweep, "sweep")["sweep_id"]
    # The script leaves its generators with the system's seed, for the next job to suffer from: the audit names it.
    assert {finding["id"].partition("@")[0] for finding in record["findings"]} == {
        "seeded-again:random",
        "seeded-again:numpy.random",
    }
    assert record["upheld"] == ("no" if mode == "strict" else "not_promised")


def test_launcher_in_the_config(project: Project) -> None:
    """A launcher that the user's own config chooses is wrapped as well."""
    config = "defaults:\n  - base\n  - _self_\n  - override hydra/launcher: joblib\nseed: 1\n"
    leaky(project, config).run("+repro=strict", "seed=3").ok()
    alone = result(project.only_run())
    project.run("-m", "+repro=strict", "seed=1,3").ok()
    assert result(project.sweep() / "1") == alone
    assert load(project.sweep(), "sweep")["launcher"] == "joblib"


def test_multirun_by_the_config(project: Project) -> None:
    """``hydra.mode=MULTIRUN`` and ``hydra.sweeper.params`` make the same sweep as ``-m`` does."""
    leaky(project, LEAKY_CONFIG + "hydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      seed: 1,3\n")
    project.run("+repro=strict").ok()
    project.run("+repro=strict", "seed=3", "hydra.mode=RUN").ok()
    sweep = project.sweep()
    alone = next(run for run in project.runs() if sweep not in run.parents)
    assert result(sweep / "1") == result(alone)
    again = project.run("reproduce", str(sweep / "1"), program=("-m", "repro_hydra")).ok()
    assert "BITWISE" in again.out


def test_where_warnings_are_errors(project: Project) -> None:
    """Nothing of ours warns, be it at the end of the process that forks the jobs."""
    ended = project.holding().run("-m", "+repro=strict", "seed=1,2", PYTHONWARNINGS="error").ok()
    assert "Warning" not in ended.text


def test_a_config_whose_defaults_are_overrides_alone(project: Project) -> None:
    """Hydra itself drops such a config when a group is appended to it, and every key of the user's with it."""
    config = "defaults:\n  - override hydra/job_logging: default\n" + PLAIN_CONFIG
    project.holding(config=config).run("+repro=strict").ok()
    assert load(project.only_run(), "config")["resolved"] == {"seed": 1, "lr": 0.1}
    project.run("-m", "+repro=strict", "+repro/logging=json", "seed=1,2").ok()
    assert result(project.sweep() / "0") == result(project.runs()[0])
    assert load(project.sweep() / "1", "config")["resolved"] == {"seed": 2, "lr": 0.1}


def test_below_torchrun(project: Project) -> None:
    """Each rank would start a sweep, and they waited for each other for ever: refused, and in record mode let be."""
    ranks = {"RANK": "0", "WORLD_SIZE": "2"}
    project.holding().run("-m", "+repro=strict", "seed=1,2", **ranks).refused(2, "2 ranks", "torchrun")
    ended = project.run("-m", "+repro=record", "seed=1,2", **ranks).ok()
    assert "NOT recorded" in ended.err
    assert not project.runs()


CALLS_HYDRA = """
import sys

import numpy as np
from hydra import initialize
from hydra.core.global_hydra import GlobalHydra


def task(cfg):
    if cfg.seed == 9:
        raise ValueError("nine")
    return float(np.random.rand())


if __name__ == "__main__":
    print("started")
    with initialize(version_base=None, config_path="conf"):
        (jobs,) = GlobalHydra.instance().hydra.multirun("config", task, ["+repro=strict", "seed=1,2"])
    print([job.return_value for job in jobs])
    with initialize(version_base=None, config_path="conf"):
        try:
            GlobalHydra.instance().hydra.multirun("config", task, ["+repro=strict", "seed=9"])
        except ValueError as error:
            print("caught", error)
"""


def test_a_script_that_calls_hydra_by_itself(project: Project) -> None:
    """As hydra_zen's `launch` does it: its jobs do not start all that it starts, and it catches what they raise."""
    ended = project.holding(CALLS_HYDRA).run().ok()
    assert ended.out.count("started") == 1
    assert "caught nine" in ended.out
    values = [result(run)["objective"] for run in project.runs() if load(run, "run")["status"] == "completed"]
    assert str(values) in ended.out
    assert len(set(values)) == 2


def test_record_mode_leaves_the_launcher(project: Project) -> None:
    """In record mode the jobs share the launcher's process as before, and each has its record."""
    project.holding().run("-m", "+repro=record", "seed=1,2,3").ok()
    sweep = project.sweep()
    assert [result(sweep / str(num))["calls"] for num in range(3)] == [1, 2, 3]
    assert [load(sweep / str(num), "run")["seed"] for num in range(3)] == [1, 2, 3]
    assert all(load(sweep / str(num), "run")["seed_set"] is False for num in range(3))


def test_repro_launcher_by_itself(project: Project) -> None:
    """``hydra/launcher=repro`` without a mode isolates, records nothing, and lets unseeded jobs differ."""
    project.holding().run("-m", *FORKED, "seed=1,2,3").ok()
    assert list(project.top.glob("**/.repro")) == []
    script = DRAWING_SCRIPT.replace("return {", "import json; return json.dump(", 1).replace(
        "    }\n", '    }, open(f"{cfg.seed}.json", "w"))\n'
    )
    project.holding(script.replace("json.dump(", "json.dump({"))
    project.run("-m", *FORKED, "seed=1,2").ok()
    first, second = (json.loads((project.top / f"{seed}.json").read_text()) for seed in (1, 2))
    assert first["calls"] == second["calls"] == 1
    assert first["numpy"] != second["numpy"]
    assert first["python"] != second["python"]


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("given", ["command line", "sweeper's parameters"])
def test_the_mode_cannot_be_swept(project: Project, given: str) -> None:
    """A sweep over the mode itself is refused: the sweep has to be in one."""
    params = "hydra:\n  sweeper:\n    params:\n      +repro: strict,record\n"
    arguments = ["+repro=strict,record"] if given == "command line" else ["seed=1,2"]
    project.holding(config=PLAIN_CONFIG + (params if given != "command line" else ""))
    before = project.files()
    project.run("-m", *arguments).refused(1, "the mode cannot be swept", "-m +repro=strict")
    assert project.files() == before


@pytest.mark.parametrize("seeds", ["1,-2", "1,4294967296", "1,a", "1,true", "1.5"])
@pytest.mark.parametrize("mode", ["strict", "standard"])
def test_a_bad_seed_stops_the_sweep_before_its_first_job(project: Project, seeds: str, mode: str) -> None:
    """One bad seed among the swept ones is refused before any job starts."""
    project.holding()
    before = project.files()
    project.run("-m", f"+repro={mode}", f"seed={seeds}").refused(2, "seed: expected an integer", "job ")
    assert project.files() == before


@pytest.mark.parametrize("mode", ["strict", "standard"])
def test_jobs_that_would_share_a_directory(project: Project, mode: str) -> None:
    """Two jobs of one directory are refused before the first starts."""
    project.holding()
    before = project.files()
    ended = project.run("-m", f"+repro={mode}", "seed=1,2", "hydra.sweep.subdir=same")
    ended.refused(1, "job-directories-shared", "jobs 0, 1")
    assert project.files() == before


def test_a_job_of_an_earlier_sweep_is_never_overwritten(project: Project) -> None:
    """A fixed sweep directory: strict refuses a second sweep there, standard keeps the earlier one aside."""
    project.holding()
    fixed = "hydra.sweep.dir=fixed"
    project.run("-m", "+repro=strict", fixed, "seed=1,2").ok()
    first = load(project.top / "fixed/0", "run")["run_id"]
    project.run("-m", "+repro=strict", fixed, "seed=1,2").refused(1, "run-directory-taken")
    assert load(project.top / "fixed/0", "run")["run_id"] == first
    project.run("-m", "+repro=standard", fixed, "seed=3,4").ok()
    kept = list((project.top / "fixed/0/.repro-earlier").glob("*/run.json"))
    assert [json.loads(file.read_text())["run_id"] for file in kept] == [first]
    assert len(list((project.top / "fixed/.repro-earlier").glob("*/sweep.json"))) == 1
    assert [job["seed"] for job in jobs(project.top / "fixed").values()] == [3, 4]


# ---------------------------------------------------------------------- options of ours, swept


def test_sweep_over_an_option_of_ours(project: Project) -> None:
    """A swept option of ours holds for its own job."""
    project.holding().run("-m", "+repro=standard", "+repro/seed=default,off").ok()
    sweep = project.sweep()
    assert [load(sweep / job["dir"], "run")["seed_set"] for job in jobs(sweep).values()] == [True, False]


@pytest.mark.parametrize("launcher", [BASIC, FORKED], ids=["default", "repro"])
def test_swept_threads_are_in_force(project: Project, launcher: list[str]) -> None:
    """A swept option of the interpreter is in the environment from the start of its own job's process."""
    project.holding(doing("pass", "int(os.environ.get('OMP_NUM_THREADS', 0))"))
    project.run("-m", "+repro=standard", "+repro/determinism=warn,off", *launcher).ok()
    sweep = project.sweep()
    threads = [result(sweep / str(num))["objective"] for num in range(2)]
    assert threads[0] == 1
    assert threads[1] != 1


@pytest.mark.parametrize("launcher", [BASIC, ["hydra/launcher=joblib"]], ids=["default", "joblib"])
def test_the_same_job_twice(project: Project, launcher: list[str]) -> None:
    """A job that is planned twice runs twice, each in a directory of its own."""
    project.holding().run("-m", "+repro=strict", *launcher, "seed=1,1").ok()
    sweep = project.sweep()
    assert statuses(sweep) == ["completed"] * 2
    assert [load(sweep / str(num), "run")["sweep"]["job_num"] for num in range(2)] == [0, 1]
    assert result(sweep / "0") == result(sweep / "1")


def test_override_dirname(project: Project) -> None:
    """``+repro…`` never shows in the name of a job's directory."""
    project.holding()
    subdir = "hydra.sweep.subdir=${hydra.job.override_dirname}"
    project.run("-m", "+repro=strict", "+repro/seed=default", "lr=0.5", "seed=1,2", subdir).ok()
    sweep = project.sweep()
    assert [job["dir"] for job in jobs(sweep).values()] == ["lr=0.5,seed=1", "lr=0.5,seed=2"]
    assert sorted(run.name for run in project.runs()) == ["lr=0.5,seed=1", "lr=0.5,seed=2"]


# ---------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    "launcher", [BASIC, [*FORKED, "hydra.launcher.start=fresh"], ["hydra/launcher=joblib"]]
)
def test_a_job_that_fails(project: Project, launcher: list[str]) -> None:
    """A job that raises is failed with its error; the others complete, and the sweep ends with status 1."""
    script = doing("if cfg.seed == 2: raise ValueError('no such layer')")
    ended = project.holding(script).run("-m", "+repro=strict", *launcher, "seed=1,2,3")
    assert ended.code == 1
    assert "no such layer" in ended.text
    assert ended.frames() == [
        str(project.top / "train.py")
    ]  # the user's line, wherever it ran, and nothing else
    sweep = project.sweep()
    assert statuses(sweep) == ["completed", "failed", "completed"]
    record = load(sweep / "1", "run")
    assert (record["status"], record["error"]["type"]) == ("failed", "ValueError")
    assert "2 of 3" in ended.text  # the closing table counts it, and does not average it in


@pytest.mark.parametrize(
    "launcher", [BASIC, [*FORKED, "hydra.launcher.start=fresh"], ["hydra/launcher=joblib"]]
)
def test_a_job_that_is_killed(project: Project, launcher: list[str]) -> None:
    """A job that is killed is failed and the signal named; the others complete."""
    script = doing("if cfg.seed == 2: os.kill(os.getpid(), 9)")
    ended = project.holding(script).run("-m", "+repro=strict", *launcher, "seed=1,2,3")
    assert ended.code == 1
    assert "SIGKILL" in ended.text
    sweep = project.sweep()
    assert statuses(sweep) == ["completed", "failed", "completed"]
    record = load(sweep / "1", "run")
    assert record["status"] == "failed"
    assert "SIGKILL" in record["error"]["message"]
    assert record["upheld"] == "no"


@pytest.mark.parametrize("action", ["sys.exit(3)", "os._exit(0)", "raise KeyboardInterrupt"])
def test_other_ways_to_end_a_job(project: Project, action: str) -> None:
    """A job that leaves without a result is that job's failure, and never the sweep's end."""
    script = doing(f"if cfg.seed == 2: {action}")
    ended = project.holding(script).run("-m", "+repro=strict", "seed=1,2,3")
    assert ended.code == 1, ended.text
    assert statuses(project.sweep()) == ["completed", "failed", "completed"]
    assert load(project.sweep() / "1", "run")["status"] in ("failed", "interrupted")
    assert not ended.frames()


def test_a_job_that_exits_with_0(project: Project) -> None:
    """``sys.exit(0)`` in a job is a return by another door, as in a single run."""
    script = doing("if cfg.seed == 2: sys.exit(0)")
    project.holding(script).run("-m", "+repro=strict", "seed=1,2,3").ok()
    assert statuses(project.sweep()) == ["completed", "completed", "completed"]


def test_stop_at_failure(project: Project) -> None:
    """With ``stop_at_failure`` no further job starts after one that failed."""
    script = doing("if cfg.seed == 2: raise ValueError('no such layer')")
    project.holding(script)
    ended = project.run("-m", "+repro=strict", *FORKED, "hydra.launcher.stop_at_failure=true", "seed=1,2,3")
    assert ended.code == 1
    sweep = project.sweep()
    assert statuses(sweep) == ["completed", "failed", "planned"]
    assert not (sweep / "2").exists()


# ---------------------------------------------------------------------- signals


SLEEPING = doing("open(f'pid{cfg.seed}', 'w').write(f'{os.getpid()}\\n'); time.sleep(1000)")


def _job_pids(project: Project, count: int) -> list[int]:
    def started() -> list[int]:
        texts = [file.read_text() for file in project.top.glob("pid*")]
        pids = [int(text) for text in texts if text.endswith("\n")]
        return pids if len(pids) == count else []

    return list(wait_until(started))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda s: s.name)
@pytest.mark.parametrize(
    "launcher",
    [
        [*FORKED, "hydra.launcher.n_jobs=2"],
        [*FORKED, "hydra.launcher.n_jobs=2", "hydra.launcher.start=fresh"],
        ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    ],
    ids=["forked", "fresh", "joblib"],
)
def test_no_orphans(project: Project, launcher: list[str], signum: signal.Signals) -> None:
    """However a sweep is ended, none of the processes below it outlives it."""
    process = project.holding(SLEEPING).start("-m", "+repro=strict", *launcher, "seed=1,2,3,4")
    try:
        pids = _job_pids(project, 2)
        below = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
        assert set(pids) <= set(below)
        process.send_signal(signum)
        process.communicate(timeout=120)
        assert process.returncode != 0
        wait_until(lambda: all(is_gone(pid) for pid in pids))
        wait_until(lambda: all(is_gone(pid) for pid in below))
        if signum != signal.SIGKILL and "repro" in launcher[0]:
            ended = [load(project.sweep() / str(num), "run")["status"] for num in (0, 1)]
            assert ended == ["interrupted", "interrupted"]
    finally:
        for pid in {*locals().get("below", []), process.pid}:
            if not is_gone(pid):
                psutil.Process(pid).kill()


# ---------------------------------------------------------------------- meanwhile


@pytest.mark.parametrize("launcher", [BASIC, ["hydra/launcher=joblib", "hydra.launcher.n_jobs=1"]])
def test_a_config_edited_while_the_sweep_runs(project: Project, launcher: list[str]) -> None:
    """Every job gets the config that the sweep was started with."""
    script = doing("open('conf/config.yaml', 'w').write('seed: 1\\nlr: 9.0\\n')", "cfg.lr")
    project.holding(script).run("-m", "+repro=strict", *launcher, "seed=1,2,3").ok()
    assert [result(project.sweep() / str(num)) for num in range(3)] == [{"objective": 0.1}] * 3


def test_sweep_record_is_written_before_the_first_job(project: Project) -> None:
    """``sweep.json`` holds every planned job, its overrides and its seed, while the first one runs."""
    script = doing(
        "import json, pathlib; sweep = json.loads(pathlib.Path('fixed/.repro/sweep.json').read_text())",
        "{str(job['num']): job['seed'] for job in sweep['jobs']}",
    )
    project.holding(script).run("-m", "+repro=strict", "seed=5,6", "hydra.sweep.dir=fixed").ok()
    assert result(project.top / "fixed/0") == {"0": 5, "1": 6}
    record = load(project.sweep(), "sweep")
    assert [job["overrides"] for job in record["jobs"]] == [
        ["+repro=strict", "seed=5"],
        ["+repro=strict", "seed=6"],
    ]
    assert record["ended_at"] is not None
    assert record["snapshot"]


@pytest.mark.parametrize("flags", [[], ["-m", "seed=1"]], ids=["run", "sweep"])
def test_started_in_the_same_second(project: Project, flags: list[str]) -> None:
    """Two that are started in the same second get a directory each, and a record each."""
    project.holding(doing("time.sleep(0.1)"), PLAIN_CONFIG)
    stamp = "hydra.sweep.dir=many/${now:%Y}" if flags else "hydra.run.dir=many/${now:%Y}"
    started = [project.start(*flags, "+repro=strict", stamp) for _ in range(3)]
    texts = [process.communicate(timeout=60)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], texts
    assert len(project.runs()) == 3
    assert len({load(run, "run")["run_id"] for run in project.runs()}) == 3
    if flags:
        assert len(list(project.top.glob("many/*/.repro/sweep.json"))) == 3
