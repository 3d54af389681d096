"""How fingerprints of a training are taken in a test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from trainings import Take

from repro_hydra.fingerprint.recorder import Fingerprints
from repro_hydra.imports import LateImports


@pytest.fixture
def take(tmp_path: Path) -> Take:
    """Run a training and return its lines; whatever of ours fails is raised."""
    numbers = iter(range(100))

    def run(training: Callable[[], Any], *, may_fail: bool = False, **how: Any) -> list[dict[str, Any]]:
        path = tmp_path / f"{next(numbers)}.jsonl"
        errors: list[Exception] = []
        taking = Fingerprints(path, errors.append, **how)
        taking.install(LateImports().when_imported)
        try:
            training()
        finally:
            taking.close()
        if errors and not may_fail:
            raise errors[0]
        return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []

    return run
