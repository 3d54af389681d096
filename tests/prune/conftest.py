"""A project that has runs, as its user left it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "doors"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "reproduce"))

from laboratory import Laboratory, laboratory_in


@pytest.fixture
def lab(tmp_path: Path) -> Laboratory:
    """A project with two runs of other code each."""
    made = laboratory_in(tmp_path)
    made.environment["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    made.holding()
    for seed in (1, 2):
        made.write("extra.py", f"N = {seed}\n")
        made.run("+repro=strict", f"seed={seed}").ok()
    return made
