"""Sweeps on a real Slurm: the same bits as at home, each job's fate told, nothing started where it must not be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from doors_project import Project, load, result, wait_until
from slurm_cluster import Cluster

from repro_hydra.launcher.batch_script import NO_PYTHON, NOT_SHARED, setup_lines

pytestmark = pytest.mark.slurm

SLURM = "hydra/launcher=submitit_slurm"
SCRIPT = """\
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from enum import Enum

import hydra
import numpy as np
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

TOP = random.Random(99).random()
OmegaConf.register_new_resolver("scaled", lambda value: value * TOP)


class Kind(Enum):
    SMALL = 1
    LARGE = 2


@dataclass
class Config:
    seed: int = 0
    what: str = ""
    kind: Kind = Kind.LARGE
    scaled: float = "${scaled:2}"


ConfigStore.instance().store(name="base", node=Config)


class Odd(Exception):
    def __init__(self, a, b):
        super().__init__("an odd one")


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    if cfg.what == "raise":
        raise Odd(1, 2)
    if cfg.what == "exit":
        sys.exit(3)
    if cfg.what == "cancel":
        job = os.environ["SLURM_ARRAY_JOB_ID"] + "_" + os.environ["SLURM_ARRAY_TASK_ID"]
        subprocess.run(["scancel", job], check=True)
        time.sleep(60)
    if cfg.what == "rank" and os.environ["SLURM_PROCID"] == "1":
        raise Odd(1, 2)
    if cfg.what == "slow":
        time.sleep(60)
    return {
        "python": random.random(),
        "numpy": float(np.random.rand()),
        "dot": float(np.random.rand(2000) @ np.random.rand(2000)),
        "hash": hash("a") % 1000003,
        "scaled": cfg.scaled,
        "same_classes": isinstance(OmegaConf.to_object(cfg), Config) and cfg.kind is Kind.LARGE,
        "main": sys.modules["__main__"].__dict__ is globals(),
        "single": "-m" not in sys.argv and f"seed={cfg.seed}" in sys.argv,
        "home": os.getcwd() == HydraConfig.get().runtime.cwd,
    }


if __name__ == "__main__":
    main()
"""
CONFIG = "defaults:\n  - base\n  - _self_\nseed: 1\n"


def sweep_of(project: Project) -> Any:
    return load(project.sweep(), "sweep")


def cli(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "repro_hydra", *arguments],
        cwd=project.top,
        env=project.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_same_bits_as_at_home(project: Project, cluster: Cluster) -> None:
    """The README's sweep: equal to a run here, with Slurm's facts recorded and the user's own lines kept."""
    project.holding(SCRIPT, CONFIG).run("+repro=strict", "seed=2").ok()
    here = result(project.only_run())
    ended = project.run(
        "-m",
        "+repro=strict",
        SLURM,
        "seed=range(3)",
        "hydra.launcher.setup=['export MINE=1']",
        "+hydra.launcher.additional_parameters={comment: mine}",
        "hydra.callbacks.repro.environment.variables=[MINE]",
    ).ok()
    assert "3 of 3" in ended.text  # the table at the end
    sweep, record = project.sweep(), sweep_of(project)
    assert [job["status"] for job in record["jobs"]] == ["completed"] * 3
    (array,) = record["slurm_job_ids"]
    assert [job["job_id"] for job in record["jobs"]] == [f"{array}_{number}" for number in range(3)]
    assert result(sweep / "2") == here
    assert all(here[key] is True for key in ("same_classes", "main", "single", "home")), here
    run = load(sweep / "2", "run")
    assert run["upheld"] == "yes"
    assert [
        finding for finding in run["findings"] if not finding["id"].startswith("setting-not-in-force")
    ] == []
    facts = run["slurm"]
    assert (facts["array_job_id"], facts["array_task_id"], facts["partition"]) == (array, "2", "main")
    assert facts["nodes"] in cluster.nodes()
    assert load(sweep / "2", "environment")["variables"]["MINE"] == "1"
    script = next((sweep / ".submitit").glob("*/*_submission.sh")).read_text()
    assert "#SBATCH --comment=mine" in script
    assert script.index("export MINE=1") < script.index("export PYTHONHASHSEED=0")
    assert not (sweep / ".repro" / "queue").exists()


def test_each_job_has_its_own_fate(project: Project, cluster: Cluster) -> None:
    """A job that raises, exits or is cancelled is failed with its reason; the others' results are kept."""
    whats = "what=raise,fine,exit,cancel"
    ended = project.holding(SCRIPT, CONFIG).run("-m", "+repro=strict", SLURM, whats)
    assert ended.code == 1
    sweep, record = project.sweep(), sweep_of(project)
    assert [job["status"] for job in record["jobs"]] == ["failed", "completed", "failed", "failed"]
    runs = [load(sweep / str(number), "run") for number in range(4)]
    assert [run["status"] for run in runs[:3]] == ["failed", "completed", "failed"]
    assert "an odd one" in runs[0]["error"]["message"]
    assert runs[2]["error"]["message"] == "sys.exit(3)"
    assert runs[3]["status"] in ("interrupted", "preempted", "failed")
    assert ended.text.count("left out:") == 3
    verified = json.loads(cli(project, "verify", "--json", str(sweep / "1")).stdout)
    assert verified["ok"] is True, verified


def test_ranks(project: Project, cluster: Cluster) -> None:
    """Rank 0 writes the record, each rank its part, and a failed rank fails the job."""
    ended = project.holding(SCRIPT, CONFIG).run(
        "-m", "+repro=strict", SLURM, "hydra.launcher.tasks_per_node=2", "what=fine,rank"
    )
    assert ended.code == 1
    sweep = project.sweep()
    fine, failed = (load(sweep / str(number), "run") for number in range(2))
    assert (fine["status"], fine["rank"], fine["world_size"]) == ("completed", 0, 2)
    assert [process["role"] for process in fine["processes"]] == ["main", "rank 1"]
    assert failed["status"] == "failed"
    assert "rank 1" in failed["error"]["message"]
    assert "an odd one" in failed["error"]["message"]
    assert [job["status"] for job in sweep_of(project)["jobs"]] == ["completed", "failed"]
    verified = json.loads(cli(project, "verify", "--json", str(sweep / "0")).stdout)
    assert verified["ok"] is True, verified
    assert (sweep / "0" / "train_rank1.log").exists()


def test_nodes_of_another_kind(project: Project, cluster: Cluster) -> None:
    """Nodes that compute with another instruction set are named, and in strict the task is not begun there."""
    other = "hydra.launcher.setup=['[ $SLURM_ARRAY_TASK_ID = 0 ] || { sleep 3; export ATEN_CPU_CAPABILITY=default; }']"
    ended = project.holding(SCRIPT, CONFIG).run("-m", "+repro=strict", SLURM, "seed=1,2", other)
    assert ended.code == 1
    assert "node-cpu-differs" in ended.text
    first, second = (load(project.sweep() / str(number), "run") for number in range(2))
    assert first["status"] == "completed"
    assert second["status"] == "failed"
    assert second["started_at"] is None
    assert {f["id"] for f in second["findings"] if f["severity"] == "blocks"} == {"node-cpu-differs"}


@pytest.mark.parametrize(
    ("gone", "status", "words"),
    [("sweep", NOT_SHARED, "all nodes share"), ("python", NO_PYTHON, "no such Python"), ("", 0, "")],
)
def test_a_node_that_cannot_run_the_job_says_so(tmp_path: Path, gone: str, status: int, words: str) -> None:
    """The batch script's own lines, in a real shell: they end it before Python starts."""
    sweep = tmp_path / "the user's sweep"
    (sweep / ".repro").mkdir(parents=True)
    if gone != "sweep":
        (sweep / ".repro" / "sweep.json").touch()
    python = "/nowhere/python" if gone == "python" else sys.executable
    lines = setup_lines({"PYTHONHASHSEED": "0"}, sweep, python, str(tmp_path))
    script = "\n".join([*lines, 'echo "seed $PYTHONHASHSEED"'])
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert done.returncode == status
    assert words in done.stderr
    assert (done.stdout == "seed 0\n") is (status == 0)


def test_a_sweep_that_is_left(project: Project, cluster: Cluster) -> None:
    """It is submitted and named, its user goes; the commands are right while it runs and when it has ended."""
    project.holding(SCRIPT, CONFIG)
    left = "hydra.callbacks.repro.wait=false"
    ended = project.run("-m", "+repro=strict", SLURM, "what=fine,slow", left).ok()
    record = sweep_of(project)
    sweep = project.sweep()
    assert record["sweep_id"] in ended.text
    assert str(sweep) in ended.text
    assert record["detached"] is True
    assert record["ended_at"] is None
    assert [job["status"] for job in record["jobs"]] == ["planned"] * 2

    def listed() -> list[str]:
        runs = json.loads(cli(project, "list", "--json", str(sweep)).stdout)
        return sorted(run["status"] for run in runs)

    wait_until(lambda: listed() == ["completed", "running"], 60)
    (row,) = [
        row
        for row in json.loads(cli(project, "aggregate", "--format", "json", str(sweep)).stdout)["rows"]
        if row["metric"] == "numpy" and row["n"]
    ]
    assert (row["n"], row["failed"]) == (1, 0)
    second = project.run("-m", "+repro=standard", SLURM, "what=fine", left, f"hydra.sweep.dir={sweep}")
    second.refused(2, f"wait or run on Slurm ({record['jobs'][1]['job_id']})")
    assert sweep_of(project) == record
    cluster.cancel(record["jobs"][1]["job_id"])
    wait_until(lambda: "running" not in listed(), 60)
    assert load(sweep / "1", "run")["status"] in ("preempted", "interrupted")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (["hydra/launcher=basic"], "basic"),
        (["hydra/launcher=joblib"], "joblib"),
        (["hydra/launcher=submitit_local"], "submitit_local"),
        ([SLURM, "hydra/sweeper=repro_seeds", "hydra.sweeper.metric=numpy"], "repro_seeds"),
    ],
)
def test_what_cannot_be_left(project: Project, given: list[str], name: str) -> None:
    """A launcher whose jobs end with it, and a sweeper that needs results, are refused by name."""
    project.holding(SCRIPT, CONFIG)
    before = project.files()
    ended = project.run("-m", "+repro=strict", *given, "hydra.callbacks.repro.wait=false")
    ended.refused(2, "wait=false", f"found {name}")
    assert project.files() == before
