"""What the user gets wrong: one clear message, an exit status, never a traceback, nothing created."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from project import Project


def refused(output: str) -> None:
    assert "repro: " in output
    assert "Traceback" not in output


@pytest.mark.parametrize("seed", ["-1", str(2**32), "1.5", "three", "true"])
def test_a_seed_that_is_none(project: Project, seed: str) -> None:
    """Negative, too large, a float, a word, a boolean."""
    output = project.run("+repro=strict", f"seed={seed}", status=2)
    refused(output)
    assert "seed: expected an integer from 0 to 4294967295" in output
    assert project.created() == set()


def test_a_seed_of_none_is_the_default(project: Project) -> None:
    """`seed: null` is no seed: the default, and a finding."""
    project.run("+repro=strict", "seed=null")
    assert project.record("run")["seed"] == 42


def test_no_repository(project: Project) -> None:
    """Strict refuses, the others warn and run."""
    shutil.rmtree(project.root / ".git")
    output = project.run("+repro=strict", status=1)
    refused(output)
    assert "[no-git-repository]" in output
    assert project.created() == set()
    output = project.run("+repro=standard")
    assert "[no-git-repository]" in output
    assert project.record("run")["status"] == "completed"


def test_no_commit(project: Project) -> None:
    """A repository without a commit cannot name the code."""
    shutil.rmtree(project.root / ".git")
    subprocess.run(["git", "init", "-q"], cwd=project.root, check=True)
    output = project.run("+repro=strict", status=1)
    refused(output)
    assert "[no-commit]" in output
    project.run("+repro=record")


def test_an_output_directory_that_cannot_be(project: Project) -> None:
    """A file is in its way: every mode says so, since Hydra could not go on either."""
    project.write("out", "a file")
    for mode in ("strict", "standard", "record"):
        output = project.run(f"+repro={mode}", "hydra.run.dir=out/run", status=1)
        refused(output)
        assert "is a file" in output


def test_a_directory_that_holds_another_runs_record(project: Project) -> None:
    """Strict refuses it; standard keeps the earlier record aside; nobody overwrites it."""
    project.run("+repro=strict", "hydra.run.dir=out")
    first = project.record("run")["run_id"]
    output = project.run("+repro=strict", "hydra.run.dir=out", status=1)
    refused(output)
    assert "[run-directory-taken]" in output
    assert project.record("run")["run_id"] == first
    project.run("+repro=standard", "hydra.run.dir=out")
    assert project.record("run")["run_id"] != first
    kept = list((project.root / "out" / ".repro-earlier").iterdir())
    assert [path.name for path in kept] == [first[:12]]


def test_a_mistyped_option_is_hydras_own_error(project: Project) -> None:
    """A key or a group option that is not there."""
    output = project.run("+repro=strikt", status=1)
    assert "Could not find 'repro/strikt'" in output
    output = project.run("+repro=strict", "hydra.callbacks.repro.sed.key=x", status=1)
    assert "Key 'sed' not in" in output or "Key 'sed' is not in" in output
    assert project.created() == set()


def test_nested_groups_go_after_the_mode(project: Project) -> None:
    """Before it, the mode would silently undo them, and alone they do nothing: both are refused."""
    project.run("+repro=strict", "+repro/seed=off", "hydra.run.dir=out/1")
    assert project.record("run")["seed_set"] is False
    for arguments in (["+repro/seed=off", "+repro=strict"], ["+repro/seed=off"]):
        output = project.run(*arguments, status=2)
        refused(output)
        assert "+repro=strict" in output
        assert "mode" in output


def test_a_nested_option_keeps_the_rest_of_the_mode(project: Project) -> None:
    """`+repro/seed=off` on strict changes the seeds and nothing else."""
    project.run("+repro=strict", "+repro/seed=off")
    options = project.record("config")["repro"]
    assert options["mode"] == "strict"
    assert options["determinism"] == {
        "torch": "enforce", "threads": 1, "interpreter": True, "cublas_workspace": ":4096:8",
    }  # fmt: skip


def test_python_that_ignores_its_environment(project: Project) -> None:
    """`python -I` cannot have its hash seed in force: strict says so instead of starting again for ever."""
    output = project.run("+repro=strict", program=("-E", "train.py"), status=1)
    refused(output)
    assert "[interpreter-ignores-environment]" in output
