"""The laboratory of the reproduction's tests: a project in git, and `repro-hydra` as its user types it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "doors"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "reproduce"))

from laboratory import Laboratory, laboratory_in


@pytest.fixture
def lab(tmp_path: Path) -> Laboratory:
    """An empty repository, a home, a place for scratch folders: all below `tmp_path`."""
    return laboratory_in(tmp_path)
