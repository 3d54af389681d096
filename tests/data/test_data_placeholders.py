"""Pointers in place of their content are found wherever the repository is that the files lie in."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from repro_hydra.data.errors import DataChanged
from repro_hydra.data.placeholders import check_contents

LIMIT_S = 60
LFS = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'ab' * 32}\nsize 5000\n"
ANNEX = f"/annex/objects/SHA256E-s5000--{'ab' * 32}.bin\n"
ATTRIBUTES = "*.bin filter=lfs diff=lfs merge=lfs -text\n"
COMMAND = {"lfs": "git lfs pull", "annex": "git annex get"}


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    # Whoever has Git LFS has its filters in a configuration, which would ask for the content of what we make up.
    without_filters = {**os.environ, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(
        ["git", *identity, *arguments],
        cwd=folder,
        env=without_filters,
        check=True,
        capture_output=True,
        timeout=LIMIT_S,
    )


@pytest.fixture(params=["lfs", "annex", "lfs, by info/attributes"])
def system(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def repository(tmp_path: Path, system: str) -> Path:
    """``data/set/a.bin`` in it is a pointer, and ``data/plain.bin`` is not."""
    top = tmp_path / "repository"
    (top / "data/set").mkdir(parents=True)
    git(top, "init", "-q")
    (top / "data/set/a.bin").write_text(ANNEX if system == "annex" else LFS)
    (top / "data/plain.bin").write_text("the content itself, which is no pointer")
    if system == "lfs":
        (top / ".gitattributes").write_text(ATTRIBUTES)
    git(top, "add", "-A")
    git(top, "commit", "-qm", "data")
    if system == "annex":
        (top / ".git/annex").mkdir()
    elif system != "lfs":
        (top / ".git/info").mkdir(exist_ok=True)
        (top / ".git/info/attributes").write_text(ATTRIBUTES)
    return top


def as_it_is(top: Path) -> Path:
    return top / "data/set"


def in_a_worktree(top: Path) -> Path:
    git(top, "worktree", "add", "-q", str(top.parent / "worktree"))
    assert (top.parent / "worktree/.git").is_file()
    return top.parent / "worktree/data/set"


def as_a_submodule(top: Path) -> Path:
    """Its ``.git`` is a file too, and what is its own lies in the outer repository."""
    outer = top.parent / "outer"
    outer.mkdir()
    git(outer, "init", "-q")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(top), "inner")
    inside = outer / ".git/modules/inner"
    for name in ("annex", "info/attributes"):
        if (top / ".git" / name).exists():
            (inside / "info").mkdir(exist_ok=True)
            os.rename(top / ".git" / name, inside / name)  # noqa: PTH104 (a folder or a file)
    return outer / "inner/data/set"


def below_a_link(top: Path) -> Path:
    """Of another project, which has no repository."""
    place = top.parent / "project"
    place.mkdir()
    (place / "inputs").symlink_to(top / "data", target_is_directory=True)
    return place / "inputs/set"


def by_a_link(top: Path) -> Path:
    """In a repository of its own, which is not the one that the files lie in."""
    place = top.parent / "project"
    place.mkdir()
    git(place, "init", "-q")
    (place / "inputs").symlink_to(top / "data/set", target_is_directory=True)
    return place / "inputs"


def past_a_link(top: Path) -> Path:
    """``..`` leads out of where the link leads to, not out of where it stands."""
    (top.parent / "short").symlink_to(top / "data/set", target_is_directory=True)
    return top.parent / "short/../set"


@pytest.mark.parametrize(
    "lying", [as_it_is, in_a_worktree, as_a_submodule, below_a_link, by_a_link, past_a_link]
)
def test_a_pointer_is_found(repository: Path, system: str, lying: Callable[[Path], Path]) -> None:
    """In a dataset that is a folder, and in one that is the file itself."""
    place = lying(repository)
    for dataset in (place, place / "a.bin"):
        with pytest.raises(DataChanged) as caught:
            check_contents(dataset)
        (problem,) = caught.value.problems
        assert COMMAND[system.partition(",")[0]] in problem.reason
    check_contents(place / "../plain.bin")


def test_a_relative_path_is_of_the_working_directory(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository / "data")
    for path in ("set", "set/a.bin", "."):
        with pytest.raises(DataChanged):
            check_contents(Path(path))


@pytest.mark.parametrize("text", ["", "gitdir: /nowhere/at/all\n", "no address\n", "gitdir: \0\n"])
def test_a_git_file_that_leads_nowhere_is_no_repository_of_these_systems(tmp_path: Path, text: str) -> None:
    (tmp_path / ".git").write_text(text)
    (tmp_path / "a.bin").write_text(LFS)
    check_contents(tmp_path / "a.bin")
    (tmp_path / ".gitattributes").write_text(ATTRIBUTES)
    with pytest.raises(DataChanged):
        check_contents(tmp_path / "a.bin")


def test_rules_below_the_dataset_are_found(tmp_path: Path) -> None:
    """Of a folder of the repository further down, and of clones that lie in a folder which is in no repository."""
    top = tmp_path / "repository"
    (top / "data/set").mkdir(parents=True)
    git(top, "init", "-q")
    (top / "data/set/a.bin").write_text(LFS)
    check_contents(top / "data")  # nobody says that it stands for something
    (top / "data/set/.gitattributes").write_text(ATTRIBUTES)
    clones = tmp_path / "clones"
    for name, content in (("lfs", LFS), ("annex", ANNEX)):
        (clones / name).mkdir(parents=True)
        git(clones / name, "init", "-q")
        (clones / name / "a.bin").write_text(content)
    (clones / "lfs/.git/info").mkdir(exist_ok=True)
    (clones / "lfs/.git/info/attributes").write_text(ATTRIBUTES)
    (clones / "annex/.git/annex").mkdir()
    for dataset, commands in ((top / "data", ["lfs"]), (clones, ["annex", "lfs"])):
        with pytest.raises(DataChanged) as caught:
            check_contents(dataset)
        assert len(caught.value.problems) == len(commands)
        for problem, command in zip(caught.value.problems, commands, strict=True):
            assert COMMAND[command] in problem.reason
