"""A user's project whose runs are reproduced, by the commands that its user types."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "doors"))

from laboratory import Laboratory


@pytest.fixture
def lab(tmp_path: Path) -> Laboratory:
    """An empty repository, a home, a place for scratch folders: all below `tmp_path`."""
    home, scratch, top = tmp_path / "home", tmp_path / "scratch", tmp_path / "project"
    for folder in (home, scratch, top):
        folder.mkdir()
    config = home / "gitconfig"
    config.write_text("[user]\n\tname = A User\n\temail = user@example.org\n[init]\n\tdefaultBranch = main\n")
    ours = ("GIT_", "REPRO_HYDRA_", "PYTEST_", "SLURM_", "OMP_", "MKL_", "OPENBLAS_", "NUMEXPR_", "COV_")
    dropped = {
        "PYTHONHASHSEED",
        "CUBLAS_WORKSPACE_CONFIG",
        "PYTHONSAFEPATH",
        "HYDRA_FULL_ERROR",
        "PYTHONPATH",
    }
    kept = {name: v for name, v in os.environ.items() if not name.startswith(ours) and name not in dropped}
    made = Laboratory(
        top,
        kept
        | {
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "TMPDIR": str(scratch),
            "GIT_CONFIG_GLOBAL": str(config),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CEILING_DIRECTORIES": str(tmp_path),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    made.git("init", "-q")
    return made
