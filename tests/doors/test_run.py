"""A single run through Hydra's door, as its user types it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from doors_project import (
    DRAWING_SCRIPT,
    LIMIT_S,
    PLAIN_CONFIG,
    Project,
    finding_ids,
    load,
    result,
    wait_until,
)

from repro_hydra.determinism.addresses import fixed_for_children

TELLING_SCRIPT = (
    "import os\n"
    "with open(os.environ['STARTS'], 'a') as starts:\n"
    "    print(os.getpid(), hash('a'), file=starts)\n" + DRAWING_SCRIPT
)
"""Notes each start of its interpreter."""


def returning(expression: str, before: str = "pass") -> str:
    """A script whose task does `before` and returns `expression`."""
    return (
        "import hydra, os, signal, sys, time\n\n\n"
        '@hydra.main(version_base=None, config_path="conf", config_name="config")\n'
        f"def main(cfg):\n    {before}\n    return {expression}\n\n\nmain()\n"
    )


def starts(log: Path) -> list[list[str]]:
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


# ---------------------------------------------------------------------- configs


@pytest.mark.parametrize("mode", ["strict", "standard", "record"])
def test_yaml_config(project: Project, mode: str) -> None:
    """Each mode records a run of an unchanged script, in the run's directory and nowhere else."""
    project.holding().run(f"+repro={mode}").ok()
    run = project.only_run()
    record = load(run, "run")
    assert record["mode"] == mode
    assert record["status"] == "completed"
    assert record["upheld"] == ("yes" if mode == "strict" else "not_promised")
    assert record["seed"] == 1
    assert record["seed_set"] is (mode != "record")
    assert record["findings"] == []
    assert load(run, "config")["resolved"] == {"seed": 1, "lr": 0.1}
    assert "repro" not in (run / ".hydra/config.yaml").read_text()


@pytest.mark.parametrize("mode", ["strict", "record"])
def test_structured_config(project: Project, mode: str) -> None:
    """A structured primary config stays as it is: its classes and enums are the script's own."""
    script = """\
from dataclasses import dataclass, field
from enum import Enum

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf


class Kind(Enum):
    SMALL = 1
    LARGE = 2


@dataclass
class Config:
    seed: int = 4
    kind: Kind = Kind.SMALL


ConfigStore.instance().store(name="config", node=Config)


@hydra.main(version_base=None, config_name="config")
def main(cfg):
    made = OmegaConf.to_object(cfg)
    return {"same": isinstance(made, Config) and cfg.kind is Kind.LARGE, "seed": cfg.seed}


main()
"""
    project.holding(script).run(f"+repro={mode}", "kind=LARGE").ok()
    run = project.only_run()
    assert result(run) == {"same": True, "seed": 4}
    assert load(run, "config")["resolved"] == {"seed": 4, "kind": "LARGE"}
    assert load(run, "run")["seed"] == 4


def test_no_config_at_all(project: Project) -> None:
    """Without a config there is no seed: the documented default is set, and the record says so."""
    script = DRAWING_SCRIPT.replace('config_path="conf", config_name="config"', "config_path=None")
    project.holding(script).run("+repro=strict").ok()
    record = load(project.only_run(), "run")
    assert record["seed"] == 42
    assert finding_ids(project.only_run()) == {"seed-defaulted"}
    assert record["upheld"] == "yes"


def test_beside_an_experiment_group(project: Project) -> None:
    """A group of the user's own is appended beside ours, in either order."""
    project.holding()
    project.write("conf/experiment/wide.yaml", "# @package _global_\nseed: 7\nwidth: 9\n")
    project.commit()
    project.run("+repro=strict", "+experiment=wide").ok()
    project.run("+experiment=wide", "+repro=strict").ok()
    first, second = project.runs()
    assert load(first, "config")["resolved"]["width"] == 9
    assert load(first, "run")["seed"] == load(second, "run")["seed"] == 7
    assert result(first) == result(second)


# ---------------------------------------------------------------------- the interpreter


def test_hash_seed_is_in_force(project: Project, tmp_path: Path) -> None:
    """Strict starts the interpreter once more, in the same process, and its hash seed is 0 in truth."""
    log = tmp_path / "starts"
    project.holding(TELLING_SCRIPT)
    project.run("+repro=strict", STARTS=str(log)).ok()
    (pid, _), (pid_again, hashed) = starts(log)
    assert pid == pid_again == str(load(project.only_run(), "run")["pid"])
    zero = project.run(program=("-c", "print(hash('a'))"), PYTHONHASHSEED="0").out.strip()
    assert hashed == zero
    assert result(project.only_run())["hash"] == int(zero) % 1000003


def test_no_start_too_many(project: Project, tmp_path: Path) -> None:
    """An interpreter that has the right environment already is not started again; nor is one of another mode."""
    project.holding(TELLING_SCRIPT)
    for number, (mode, variables) in enumerate(
        [("standard", {}), ("record", {}), ("strict", _environment_of_strict())]
    ):
        log = tmp_path / f"starts{number}"
        with fixed_for_children(mode == "strict"):
            project.run(f"+repro={mode}", STARTS=str(log), **variables).ok()
        assert len(starts(log)) == 1, mode


def test_bits_are_equal_run_after_run(project: Project) -> None:
    """The same seed gives byte-identical results, another seed another one."""
    project.holding()
    for seed in (3, 3, 4):
        project.run("+repro=strict", f"seed={seed}").ok()
    first, second, other = ((run / ".repro/result.json").read_bytes() for run in project.runs())
    assert first == second != other


def _environment_of_strict() -> dict[str, str]:
    from repro_hydra.config_groups import strict_conf
    from repro_hydra.determinism import required_variables

    return required_variables(strict_conf().determinism, {})


# ---------------------------------------------------------------------- ways to start


def test_without_standard_streams(project: Project) -> None:
    """Started by a daemon that has none: the run is what it is, in every mode that starts it again and in none."""
    command = project.holding().command("+repro=strict")
    closed = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command]
    assert subprocess.run(closed, cwd=project.top, env=project.environment, timeout=LIMIT_S).returncode == 0
    assert load(project.only_run(), "run")["upheld"] == "yes"


def test_chdir(project: Project) -> None:
    """``hydra.job.chdir`` works, and the recorded working directory is where the user was."""
    project.holding(returning("{'inside': os.getcwd() == HERE()}").replace(
        "@hydra", "def HERE():\n    return hydra.core.hydra_config.HydraConfig.get().runtime.output_dir\n\n\n@hydra", 1
    ).replace("import hydra, os", "import hydra.core.hydra_config, os", 1))  # fmt: skip
    project.run("+repro=strict", "hydra.job.chdir=true").ok()
    assert result(project.only_run()) == {"inside": True}
    assert load(project.only_run(), "run")["cwd"] == str(project.top)


def test_no_output_subdir(project: Project) -> None:
    """Without ``.hydra`` the record is complete by itself."""
    project.holding().run("+repro=strict", "hydra.output_subdir=null", "lr=0.5").ok()
    run = project.only_run()
    assert not (run / ".hydra").exists()
    assert load(run, "config")["resolved"] == {"seed": 1, "lr": 0.5}
    assert load(run, "run")["overrides"] == ["+repro=strict", "lr=0.5"]


def test_safe_path(project: Project) -> None:
    """PYTHONSAFEPATH, under which the script's folder is not importable, stays in force."""
    script = "import sys\nfrom pathlib import Path\n" + DRAWING_SCRIPT.replace(
        '"calls"', '"own_folder": str(Path(__file__).parent) in sys.path, "calls"'
    )
    project.holding(script).run("+repro=strict", PYTHONSAFEPATH="1").ok()
    project.run("-m", "+repro=strict", "seed=1", PYTHONSAFEPATH="1").ok()
    alone, swept = project.runs()
    assert result(alone) == result(swept)
    assert result(alone)["own_folder"] is False


def test_module(project: Project) -> None:
    """``python -m pkg.train`` is started again as a module, and a sweep's job is one too."""
    script = DRAWING_SCRIPT.replace("import random", "import random\n\nfrom .part import SIZE", 1)
    script = script.replace('"calls"', '"size": SIZE, "calls"').replace('"conf"', '"../conf"')
    project.write("pkg/__init__.py", "")
    project.write("pkg/part.py", "SIZE = 5\n")
    project.write("pkg/train.py", script)
    project.holding()
    project.run("+repro=strict", program=("-m", "pkg.train")).ok()
    project.run("-m", "+repro=strict", "seed=1", program=("-m", "pkg.train")).ok()
    alone, swept = project.runs()
    assert result(alone) == result(swept)
    assert result(alone)["size"] == 5
    assert load(alone, "run")["entry"]["target"] == "pkg.train"


def test_console_script(project: Project) -> None:
    """A console script, as pip writes it, is started again and run anew in a sweep's job."""
    project.write("pkg/__init__.py", "")
    project.write("pkg/train.py", DRAWING_SCRIPT)
    project.write("pkg/conf/__init__.py", "")
    project.write("pkg/conf/config.yaml", PLAIN_CONFIG)
    script = project.write(
        "bin/train",
        f"#!{sys.executable}\nimport sys\nfrom pkg.train import main\nif __name__ == '__main__':\n"
        "    sys.exit(main())\n",
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    project.holding()
    path = {"PYTHONPATH": os.pathsep.join([str(project.top), os.environ.get("PYTHONPATH", "")])}
    project.run("+repro=strict", program=("bin/train",), **path).ok()
    project.run("-m", "+repro=strict", "seed=1", program=("bin/train",), **path).ok()
    alone, swept = project.runs()
    assert result(alone) == result(swept)


def test_a_module_started_elsewhere(project: Project, tmp_path: Path) -> None:
    """In a scratch folder that is no repository the code is still that of the module's, and can be had again."""
    project.write("pkg/__init__.py", "")
    project.write("pkg/train.py", DRAWING_SCRIPT)
    project.write("pkg/conf/config.yaml", PLAIN_CONFIG)
    project.holding()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    path = {"PYTHONPATH": str(project.top)}
    project.run("+repro=strict", program=("-m", "pkg.train"), cwd=scratch, **path).ok()
    (run,) = [file.parent.parent for file in scratch.glob("**/.repro/run.json")]
    assert load(run, "code")["repository"] == str(project.top)
    assert load(run, "run")["upheld"] == "yes"
    again = project.run("reproduce", str(run), program=("-m", "repro_hydra"), cwd=scratch).ok()
    assert "BITWISE" in again.out


# ---------------------------------------------------------------------- beside others


WATCHER = """\
import os
from hydra.experimental.callback import Callback


class Watcher(Callback):
    def __init__(self):
        self.note("constructed")

    def note(self, event):
        with open(os.environ["EVENTS"], "a") as events:
            print(event, file=events)

    def on_run_start(self, config, **kwargs):
        self.note("run_start")

    def on_run_end(self, config, **kwargs):
        self.note("run_end")

    def on_job_start(self, config, **kwargs):
        self.note("job_start")

    def on_job_end(self, config, job_return, **kwargs):
        self.note("job_end")

    def on_multirun_start(self, config, **kwargs):
        self.note("multirun_start")

    def on_multirun_end(self, config, **kwargs):
        self.note("multirun_end")
"""


@pytest.mark.parametrize("given", ["config", "command line, after ours"])
def test_callbacks_of_the_user(project: Project, tmp_path: Path, given: str) -> None:
    """Each event reaches a user's own callback once, in their order, although the interpreter starts twice."""
    log = tmp_path / "events"
    project.write("watcher.py", WATCHER)
    arguments = ["+repro=strict"]
    if given == "config":
        project.holding(
            config=PLAIN_CONFIG + "hydra:\n  callbacks:\n    watcher:\n      _target_: watcher.Watcher\n"
        )
    else:
        project.holding()
        arguments.append("+hydra.callbacks.watcher._target_=watcher.Watcher")
    project.run(*arguments, EVENTS=str(log)).ok()
    events = log.read_text().split()
    assert [event for event in events if event != "constructed"] == [
        "run_start",
        "job_start",
        "job_end",
        "run_end",
    ]
    if given != "config":
        assert events.count("constructed") == 1


def test_callbacks_of_the_user_in_a_sweep(project: Project, tmp_path: Path) -> None:
    """In a sweep a user's callback sees the sweep once and each job once."""
    log = tmp_path / "events"
    project.write("watcher.py", WATCHER)
    project.holding()
    watcher = "+hydra.callbacks.watcher._target_=watcher.Watcher"
    project.run("-m", "+repro=strict", watcher, "seed=1,2", EVENTS=str(log)).ok()
    events = [event for event in log.read_text().split() if event != "constructed"]
    assert events == ["multirun_start", "job_start", "job_end", "job_start", "job_end", "multirun_end"]


def test_two_in_one_process(project: Project) -> None:
    """The second ``@hydra.main`` of a process is recorded too, and told not to be isolated from the first."""
    script = DRAWING_SCRIPT.replace("    main()\n", "    main()\n    main()\n")
    project.holding(script).run("+repro=strict").ok()
    first, second = project.runs()
    assert finding_ids(first) == set()
    assert finding_ids(second) == {"process-not-fresh"}
    assert [load(run, "run")["upheld"] for run in (first, second)] == ["yes", "no"]
    assert result(second)["calls"] == 2


def test_a_command_started_by_the_task(project: Project) -> None:
    """A program that the task starts takes part in its run: listed there, without a record of its own."""
    project.write("other.py", DRAWING_SCRIPT)
    start = (
        "import subprocess\n"
        "    command = [sys.executable, 'other.py', '+repro=strict', 'hydra.run.dir=sub']\n"
        "    subprocess.run(command, check=True)"
    )
    project.holding(returning("1", start)).run("+repro=strict").ok()
    record = load(project.only_run(), "run")
    assert [process["role"] for process in record["processes"]] == ["main", "child"]
    assert record["processes"][1]["pid"] != record["pid"]


# ---------------------------------------------------------------------- nothing to run


@pytest.mark.parametrize(
    "arguments",
    [["--cfg", "job"], ["--cfg", "hydra"], ["--help"], ["--info", "config"], ["-sc", "query=bash"]],
    ids=" ".join,
)
def test_what_only_tells(project: Project, tmp_path: Path, arguments: list[str]) -> None:
    """What only prints starts nothing, creates nothing and says the same as without us."""
    log = tmp_path / "starts"
    project.holding(TELLING_SCRIPT)
    before = project.files()
    if "-sc" in arguments:
        line = "python train.py +repro=strict l"
        told = project.run(*arguments, STARTS=str(log), COMP_LINE=line, COMP_POINT=str(len(line))).ok()
        assert told.out.strip() == "lr="
    else:
        told = project.run("+repro=strict", *arguments, STARTS=str(log)).ok()
    assert len(starts(log)) == 1
    assert project.files() == before
    if arguments == ["--cfg", "job"]:
        assert told.out.strip() == PLAIN_CONFIG.strip()


def test_check_only_with_nothing_in_the_way(project: Project, tmp_path: Path) -> None:
    """``check_only`` says that nothing would block, with status 0, and starts and creates nothing."""
    log = tmp_path / "starts"
    project.holding(TELLING_SCRIPT)
    before = project.files()
    ended = project.run("+repro=strict", "hydra.callbacks.repro.check_only=true", STARTS=str(log)).ok()
    assert "nothing would block the run" in ended.text
    assert project.files() == before
    assert len(starts(log)) == 1


@pytest.mark.parametrize("sweep", [False, True])
@pytest.mark.parametrize("mode", ["strict", "standard"])
def test_check_only_tells_all_at_once(project: Project, mode: str, sweep: bool) -> None:
    """``check_only`` lists all that would block, at once, with status 1; in every mode, for runs and sweeps."""
    project.write("train.py", DRAWING_SCRIPT)  # never committed
    project.write("conf/config.yaml", PLAIN_CONFIG)
    taken = "multirun" if sweep else "outputs"
    project.write(taken, "a file in the way")
    before = project.files()
    flags = ["-m", "seed=1,2"] if sweep else []
    ended = project.run(
        *flags,
        f"+repro={mode}",
        "hydra.callbacks.repro.check_only=true",
        "hydra.callbacks.repro.determinism.cublas_workspace=:0:0"
        if mode == "strict"
        else "hydra.callbacks.repro.environment.lock=missing.json",
    )
    third = "setting-not-deterministic" if mode == "strict" else "environment-lock"
    ended.refused(1, "3 things stand", "no-commit", "output-not-writable", third)
    assert project.files() == before


# ---------------------------------------------------------------------- the record


def test_files_of_the_record(project: Project) -> None:
    """A run's record has the files and keys that others rely on, and lists each in its manifest."""
    project.holding(returning("0.5"))
    project.write("train.py", returning("0.5") + "# not committed\n")
    options = [
        "hydra.callbacks.repro.name=pilot",
        "hydra.callbacks.repro.tags=[a,b]",
        "hydra.callbacks.repro.note='a note'",
    ]
    project.run("+repro=strict", "lr=2", *options).ok()
    run = project.only_run()
    record = load(run, "run")
    assert len(record["run_id"]) == 32
    assert set(record["run_id"]) <= set("0123456789abcdef")
    assert (record["name"], record["tags"], record["note"]) == ("pilot", ["a", "b"], "a note")
    assert record["argv"][:3] == ["train.py", "+repro=strict", "lr=2"]
    assert record["created_at"] <= record["started_at"] <= record["ended_at"]
    assert record["created_at"].endswith("Z")
    assert record["duration_s"] >= 0
    assert record["peak_memory_bytes"] > 0
    assert record["error"] is None
    code = load(run, "code")
    assert len(code["commit"]) == 40
    assert code["snapshot"]
    assert "# not committed" in (run / ".repro/code.patch").read_text()
    config = load(run, "config")
    assert config["overrides"] == ["+repro=strict", "lr=2"]
    assert config["config_name"] == "config"
    assert config["resolved"] == {"seed": 1, "lr": 2}
    determinism = load(run, "determinism")
    hash_seed = next(setting for setting in determinism["settings"] if setting["name"] == "hash_seed")
    assert (hash_seed["asked"], hash_seed["entry"], hash_seed["exit"]) == ("0", "0", "0")
    assert {"numpy", "hydra-core"} <= {
        package["name"] for package in load(run, "environment")["distributions"]
    }
    assert (run / ".repro/metrics.jsonl").read_text() == ""
    manifest = load(run, "manifest")
    listed = {entry["path"] for entry in manifest["files"]}
    for name in ("run.json", "config.json", "code.json", "code.patch", "environment.json", "result.json"):
        assert any(path.endswith(name) for path in listed), name
    assert any(path.endswith("train.log") for path in listed)


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ("0.1 + 0.2", {"objective": 0.1 + 0.2}),
        ("True", {"objective": True}),
        ("[1, 2.5]", {"objective_0": 1, "objective_1": 2.5}),
        ("(1, 2)", {"objective_0": 1, "objective_1": 2}),
        ("{'a': 1, 'b': {'c': 2, 'd': {'e': 3.5}}}", {"a": 1, "b.c": 2, "b.d.e": 3.5}),
        (
            "{'x': float('nan'), 'y': float('inf'), 'z': -float('inf')}",
            {"x": "NaN", "y": "Infinity", "z": "-Infinity"},
        ),
        ("__import__('numpy').float32(0.1)", {"objective": 0.10000000149011612}),
        ("None", {}),
    ],
)
def test_what_a_task_returns(project: Project, returned: str, expected: dict[str, object]) -> None:
    """Numbers, sequences and mappings become ``result.json``, bit for bit."""
    project.holding(returning(returned)).run("+repro=record").ok()
    assert result(project.only_run()) == expected


# ---------------------------------------------------------------------- endings


@pytest.mark.parametrize(
    ("action", "code", "status", "error"),
    [
        ("sys.exit(0)", 0, "completed", None),
        ("sys.exit(3)", 3, "failed", "SystemExit"),
        ("raise KeyboardInterrupt", -signal.SIGINT, "interrupted", "KeyboardInterrupt"),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)", 143, "interrupted", "SIGTERM"),
        ("raise ValueError('no such layer: ' + cfg.api_key)", 1, "failed", "ValueError"),
    ],
)
@pytest.mark.parametrize("mode", ["strict", "record"])
def test_endings(project: Project, action: str, code: int, status: str, error: str | None, mode: str) -> None:
    """However a task ends, its status is its own, and the record is finished and says what happened."""
    secret = "a config's own secret"
    project.holding(returning("1", action), f"{PLAIN_CONFIG}api_key: {secret}\n")
    ended = project.run(f"+repro={mode}")
    assert ended.code == code, ended.text
    if (
        mode == "strict" and "SIGTERM" not in action
    ):  # nobody handles it in a plain run, which it ends by itself
        assert project.run().code == code
    record = load(project.only_run(), "run")
    assert record["status"] == status
    assert (record["error"] or {}).get("type") == error
    assert record["ended_at"] is not None
    if error == "ValueError":
        assert record["error"]["message"] == "no such layer: [redacted]"
        assert secret not in (project.only_run() / ".repro/run.json").read_text()
        assert "train.py" in record["error"]["traceback"]
        assert "no such layer" in ended.text
        assert set(ended.frames()) == {str(project.top / "train.py")}  # as without us: none of ours
        assert "repro_hydra" not in record["error"]["traceback"]


def test_a_task_that_removes_its_own_directory(project: Project) -> None:
    """Its exit status stays its own, and what is lost is said once."""
    script = (
        "import shutil, hydra\nfrom hydra.core.hydra_config import HydraConfig\n\n\n"
        '@hydra.main(version_base=None, config_path="conf", config_name="config")\n'
        "def main(cfg):\n    shutil.rmtree(HydraConfig.get().runtime.output_dir)\n    print('done')\n\n\nmain()\n"
    )
    ended = project.holding(script).run("+repro=strict").ok()
    assert "done" in ended.out
    assert ended.err.count("repro: ") == ended.err.count("[record-removed]") + 1 == 2, ended.err
    assert "its record is gone" in ended.err
    assert "Traceback" not in ended.text


def test_terminated_from_outside(project: Project, tmp_path: Path) -> None:
    """SIGTERM lets the task's own clean-up run, and the record says interrupted."""
    ready = tmp_path / "ready"
    action = (
        f"open({str(ready)!r}, 'w').close()\n"
        "    try:\n        time.sleep(500)\n"
        f"    finally:\n        os.unlink({str(ready)!r})"
    )
    process = project.holding(returning("1", action)).start("+repro=strict")
    wait_until(ready.exists)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode in (143, -15)
    assert not ready.exists()
    assert load(project.only_run(), "run")["status"] == "interrupted"


# ---------------------------------------------------------------------- waivers


@pytest.mark.parametrize(
    ("finding", "waiver"),
    [
        ("no-commit", "{no-commit: because}"),
        (
            "option-without-effect:wait",
            "{option-without-effect:wait: because, no-commit: because}",
        ),
        (
            "option-without-effect:wait",
            r"{option-without-effect\:wait: because, no-commit: because}",
        ),
    ],
)
def test_waivers(project: Project, finding: str, waiver: str) -> None:
    """A finding waived by its id, its colon escaped or not, stands in the record and beside the verdict."""
    project.write("train.py", DRAWING_SCRIPT)
    project.write("conf/config.yaml", PLAIN_CONFIG)
    wait = ["hydra.callbacks.repro.wait=false"] if "wait" in finding else []
    project.run("+repro=strict", *wait).refused(1, finding)
    project.run("+repro=strict", *wait, f"hydra.callbacks.repro.allow={waiver}").ok()
    record = load(project.only_run(), "run")
    assert record["upheld"] == "waived"
    assert record["waived"][finding] == "because"


@pytest.mark.parametrize(
    "typo",
    ["hydra.callbacks.repro.tag=[a]", "hydra.callbacks.repro.seed.kee=s", "+repro=strickt"],
)
def test_typo(project: Project, typo: str) -> None:
    """A mistyped option is Hydra's own error, and nothing is run."""
    project.holding()
    before = project.files()
    ended = project.run("+repro=strict", typo)
    assert ended.code == 1
    assert "Key '" in ended.text or "Could not" in ended.text or "Multiple values" in ended.text, ended.text
    assert project.files() == before
