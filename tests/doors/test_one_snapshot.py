"""One commit identifies the code of all jobs of a sweep: git is asked to keep it once, however many jobs there are."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from doors_project import PLAIN_CONFIG, Project, load

SCRIPT = """\
import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    return cfg.seed + cfg.lr


if __name__ == "__main__":
    main()
"""
KEEPS = {
    "add",
    "commit-tree",
    "write-tree",
    "update-ref",
    "update-index",
    "unpack-objects",
    "pack-objects",
    "bundle",
}
"""What writes to a repository, or makes what is written."""
MOST_S = 3600


def spied_git(project: Project, folder: Path) -> Path:
    """Put a git before git that notes who asked for what; the file with the notes."""
    real, notes = shutil.which("git"), folder / "asked"
    folder.mkdir()
    program = folder / "git"
    program.write_text(f'#!/bin/sh\necho "$PPID $*" >> {notes}\nexec {real} "$@"\n')
    program.chmod(0o755)
    path = f"{folder}:{project.environment['PATH']}"
    project.environment = project.environment | {"PATH": path, "XDG_CACHE_HOME": str(folder / "cache")}
    return notes


def asked(notes: Path) -> list[tuple[str, str]]:
    """Who (a process) asked for which command, without git's own options."""
    found = []
    for line in notes.read_text().splitlines():
        process, *words = line.split()
        while words and words[0].startswith("-"):
            words = words[2:] if words[0] in ("-C", "-c", "--git-dir", "--work-tree") else words[1:]
        found.append((process, words[0]))
    return found


@pytest.mark.parametrize(
    "jobs", [3, pytest.param(1000, marks=[pytest.mark.soak, pytest.mark.timeout(MOST_S)])]
)
def test_a_sweep_makes_one_snapshot(project: Project, tmp_path: Path, jobs: int) -> None:
    """One commit, one ref and one patch; a job asks git only what the snapshot holds, and asks it to keep nothing."""
    project.holding(SCRIPT, PLAIN_CONFIG)
    project.write("train.py", f"{SCRIPT}# edited\n")
    project.write("untracked.py", "X = 1\n")
    notes = spied_git(project, tmp_path / "spied")
    done = subprocess.run(
        [sys.executable, "train.py", "-m", "+repro=strict", f"seed=range({jobs})"],
        cwd=project.top,
        env=project.environment,
        capture_output=True,
        text=True,
        timeout=MOST_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    calls = asked(notes)

    refs = subprocess.check_output(
        ["git", "for-each-ref", "refs/repro"], cwd=project.top, text=True
    ).splitlines()
    assert len(refs) == 1
    commit = refs[0].split()[0]
    sweep = project.sweep()
    assert load(sweep, "sweep")["snapshot"] == commit
    codes = [load(run, "code") for run in project.runs()]
    assert len(codes) == jobs
    assert {code["snapshot"] for code in codes} == {commit}
    assert len(list(sweep.rglob("code*.patch"))) == 1
    assert [command for _, command in calls].count("commit-tree") == 1

    parent = next(process for process, command in calls if command == "commit-tree")
    in_jobs = [command for process, command in calls if process != parent]
    assert KEEPS.isdisjoint(in_jobs), sorted(set(in_jobs))
    assert len(in_jobs) <= 3 * jobs, in_jobs[:20]
