"""A project for each test."""

from __future__ import annotations

from pathlib import Path

import pytest
from project import CONFIG, SCRIPT, Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A committed project with a NumPy script and a YAML config."""
    made = Project(tmp_path / "project")
    made.write("train.py", SCRIPT)
    made.write("conf/config.yaml", CONFIG)
    made.commit()
    return made
