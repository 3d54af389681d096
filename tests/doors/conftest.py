"""A project as a user has one: a git repository with a script that knows nothing of this package."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from doors_project import Project


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment that a user's shell would give: no settings of ours, a home and a git identity of its own."""
    home = tmp_path_factory.mktemp("home")
    gitconfig = home / "gitconfig"
    gitconfig.write_text(
        "[user]\n\tname = A User\n\temail = user@example.org\n[init]\n\tdefaultBranch = main\n"
    )
    ours = ("GIT_", "REPRO_HYDRA_", "PYTEST_", "SLURM_", "OMP_", "MKL_", "OPENBLAS_", "NUMEXPR_", "COV_")
    dropped = {"PYTHONHASHSEED", "CUBLAS_WORKSPACE_CONFIG", "PYTHONSAFEPATH", "HYDRA_FULL_ERROR"}
    kept = {name: v for name, v in os.environ.items() if not name.startswith(ours) and name not in dropped}
    return kept | {
        "HOME": str(home),
        "GIT_CONFIG_GLOBAL": str(gitconfig),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CEILING_DIRECTORIES": str(home.parent),
    }


@pytest.fixture
def project(tmp_path: Path, environment: dict[str, str]) -> Project:
    """An empty repository without a commit."""
    top = tmp_path / "project"
    top.mkdir()
    made = Project(top, environment)
    made.git("init", "-q")
    return made
