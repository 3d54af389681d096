"""A real Slurm: that of `.ci/run`, or whichever `scripts/slurm_laptop.sh up` started here."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "doors"))

from doors_project import Project
from slurm_cluster import Cluster, home, why_not

pytestmark = pytest.mark.slurm


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """The cluster, for one test at a time: nodes are killed here."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with FileLock(home() / "tests.lock", timeout=900):
        found = Cluster()
        found.repair()
        yield found
        found.cancel_all()


@pytest.fixture
def project(tmp_path: Path, cluster: Cluster) -> Project:
    """An empty repository, with a home and an identity of its own."""
    home = tmp_path / "home"
    home.mkdir()
    gitconfig = home / "gitconfig"
    gitconfig.write_text(
        "[user]\n\tname = A User\n\temail = user@example.org\n[init]\n\tdefaultBranch = main\n"
    )
    ours = ("GIT_", "REPRO_HYDRA_", "PYTEST_", "OMP_", "MKL_", "OPENBLAS_", "NUMEXPR_", "COV_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    top = tmp_path / "project"
    top.mkdir()
    made = Project(
        top,
        kept | {"HOME": str(home), "GIT_CONFIG_GLOBAL": str(gitconfig), "GIT_CONFIG_NOSYSTEM": "1"},
    )
    made.git("init", "-q")
    return made
