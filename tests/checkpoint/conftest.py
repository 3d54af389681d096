"""One project for all tests of this folder, and its undisturbed runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from training import Laboratory, Left, make_laboratory


@pytest.fixture(scope="session")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    folder = tmp_path_factory.mktemp("laboratory")
    (folder / "home").mkdir()
    return make_laboratory(folder / "project", folder / "home")


@pytest.fixture(scope="session")
def undisturbed(laboratory: Laboratory) -> Callable[[int], Left]:
    """The undisturbed run with so many workers, made once."""

    @cache
    def run(workers: int) -> Left:
        return laboratory.undisturbed(f"undisturbed-{workers}", f"workers={workers}")

    return run


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "one.ckpt"
