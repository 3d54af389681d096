"""A strict run on a GPU: its bits come again, alone, in a sweep, by `reproduce` and after it was struck."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from doors_project import Project, load
from training import Laboratory

STRICT = "+repro=strict"


def digest(run: Path) -> str:
    """Of the weights and the optimizer's state."""
    return hashlib.sha256((run / "weights.pt").read_bytes()).hexdigest()


def prints(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / ".repro" / "fingerprints.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def first(project: Project) -> Path:
    """The run that all others are held against."""
    done = project.run(STRICT, "hydra.run.dir=outputs/first").ok()
    assert "Traceback" not in done.text
    return project.top / "outputs" / "first"


def test_it_is_upheld_and_says_what_was_in_force(first: Path) -> None:
    """Nothing that CUDA opens or starts on the way is held against the run; its settings are in force to the end."""
    run = load(first, "run")
    assert [f for f in run["findings"] if f["severity"] != "harmless"] == []
    assert run["upheld"] == "yes"
    assert run["seeds"]["cuda"] == 3
    rows = {row["name"]: row for row in load(first, "determinism")["settings"]}
    for name, value in {
        "torch.deterministic_algorithms": "enforce",
        "cublas_workspace": ":4096:8",
        "cudnn.deterministic": True,
        "cudnn.benchmark": False,
        "precision.matmul": "ieee",
    }.items():
        assert (rows[name]["first_step"], rows[name]["exit"], rows[name]["in_force"]) == (
            value,
            value,
            True,
        ), name


def test_the_record_names_the_gpu(first: Path) -> None:
    """As `nvidia-smi` and torch name it."""
    environment = load(first, "environment")
    (gpu, *_) = environment["gpus"]
    assert gpu["name"] == torch.cuda.get_device_name(0)
    assert gpu["memory_bytes"] >= torch.cuda.get_device_properties(0).total_memory
    assert gpu["compute_capability"] == ".".join(map(str, torch.cuda.get_device_capability(0)))
    accelerators = environment["accelerators"]
    assert accelerators["cuda"] == torch.version.cuda
    assert accelerators["cudnn"] == str(torch.backends.cudnn.version())
    assert accelerators["driver"]


def test_without_strict_two_runs_differ(project: Project) -> None:
    """So that all else here says something."""
    for name in ("plain-a", "plain-b"):
        project.run("+repro=record", f"hydra.run.dir=outputs/{name}").ok()
    a, b = (digest(project.top / "outputs" / name) for name in ("plain-a", "plain-b"))
    assert a != b


def test_the_same_bits_in_a_sweep(project: Project, first: Path) -> None:
    """Two jobs at a time on the one GPU, forked from a process that has touched no device."""
    project.run("-m", STRICT, "hydra.sweep.dir=multirun/sweep", "hydra.launcher.n_jobs=2",
                "hydra/launcher=repro", "seed=3,4").ok()  # fmt: skip
    three, four = (project.top / "multirun" / "sweep" / number for number in "01")
    assert digest(three) == digest(first)
    assert (three / ".repro" / "result.json").read_bytes() == (first / ".repro" / "result.json").read_bytes()
    assert prints(three) == prints(first)
    assert digest(four) != digest(first)
    assert {load(run, "run")["upheld"] for run in (three, four)} == {"yes"}
    assert load(four, "run")["seeds"]["cuda"] == 4


@pytest.mark.parametrize("option", [None, "autocast", "compiled"])
def test_reproduce_says_bitwise(project: Project, first: Path, option: str | None) -> None:
    """With the fingerprint of each step; also compiled, and in half precision, whose scaler leaves steps out."""
    run = first
    if option is not None:
        run = project.top / "outputs" / option
        project.run(STRICT, f"{option}=true", f"hydra.run.dir=outputs/{option}").ok()
        assert load(run, "run")["upheld"] == "yes"
    done = subprocess.run(
        [sys.executable, "-m", "repro_hydra", "reproduce", "--json", str(run)],
        cwd=project.top,
        env=project.environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["verdict"] == "BITWISE", document
    assert document["compared"]["fingerprint_steps"] == len(prints(run)) > (4 if option else 15)
    assert document["compared"]["tensors"] >= 1


def test_the_fingerprints_are_of_the_device(first: Path) -> None:
    """Each step has a digest of every stage, CUDA's generator among them, and none is that of the step before."""
    lines = prints(first)
    assert len(lines) == 16
    assert lines[0]["device"] == "cuda"
    for stage in ("batch", "loss", "gradients", "optimizer", "weights"):
        assert len({line[stage] for line in lines}) == len(lines), stage
    assert len({line["rng"]["cuda"] for line in lines}) == len(lines)


@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "autocast"])
def test_struck_it_ends_with_the_same_bits(project: Project, autocast: bool) -> None:
    """It goes on with CUDA's generator, the scaler, the loader's position and the optimizer on the device."""
    laboratory = Laboratory(project.top, project.environment)
    options = [f"autocast={str(autocast).lower()}", "every=2"]
    calm = laboratory.undisturbed(f"calm-{autocast}", *options)
    struck, codes = laboratory.struck(f"struck-{autocast}", ["SIGTERM@3", "SIGKILL@9"], *options)
    assert codes == [143, -9, 0]
    assert struck.run["upheld"] == "yes", struck.run["findings"]
    struck.same_bits(calm)
