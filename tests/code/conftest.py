"""A real repository, with a git configuration of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from code_repository import Repository


@pytest.fixture(autouse=True)
def _own_git_configuration(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path_factory.mktemp("home")
    config = home / "gitconfig"
    config.write_text(
        "[user]\n\tname = A User\n\temail = user@example.org\n"
        '[init]\n\tdefaultBranch = main\n[protocol "file"]\n\tallow = always\n'
    )
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("HOME", str(home))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with one commit that holds two files."""
    top = tmp_path / "project"
    top.mkdir()
    made = Repository(top)
    made.git("init", "-q")
    made.write("train.py", "print('hello')\n")
    made.write("pkg/model.py", "SIZE = 1\n")
    made.commit("first commit\n\nwith a body")
    return made
