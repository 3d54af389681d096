"""A GPU, and a project whose script trains on it; skipped where there is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "doors"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "checkpoint"))

from doors_project import Project
from gpu_project import CONFIG, TRAINING, new_project


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder needs a GPU."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.gpu)
            if not torch.cuda.is_available():
                item.add_marker(pytest.mark.skip(reason="needs a GPU"))


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A repository with the training."""
    return new_project(tmp_path_factory.mktemp("gpu"), TRAINING, CONFIG)
