"""A user's project whose runs are reproduced, by the commands that its user types."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "doors"))

from laboratory import Laboratory, laboratory_in


@pytest.fixture
def lab(tmp_path: Path) -> Laboratory:
    """An empty repository, a home, a place for scratch folders: all below `tmp_path`."""
    return laboratory_in(tmp_path)
