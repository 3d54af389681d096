"""Asking an index for files: one that it does not have must not hide the others'."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from repro_hydra.environment.artifacts import Found, IndexUnavailable, _ask_by_halves, _Refused, fits_here
from repro_hydra.environment.pins import Pin
from repro_hydra.record.lock import Artifact


class Index:
    """An index that has some packages, and refuses a question about any other, as installers do."""

    def __init__(self, has: set[str]) -> None:
        self.has = has
        self.asked: list[list[str]] = []

    def __call__(self, pins: Sequence[Pin], folder: Path) -> Found:
        names = [pin.name for pin in pins]
        self.asked.append(names)
        lacking = sorted(set(names) - self.has)
        if lacking:
            raise _Refused(f"no matching distribution for {lacking[0]}")
        return {
            name: [Artifact(filename=f"{name}.whl", url="https://x.org/a", hashes={"sha256": "ab"})]
            for name in names
        }


def pins(*names: str) -> list[Pin]:
    return [Pin(name=name, version="1", source="index") for name in names]


def test_the_one_that_is_missing_is_found_and_the_rest_is_answered(tmp_path: Path) -> None:
    index = Index({f"p{number}" for number in range(16)} - {"p5"})
    found: Found = {}
    without: dict[str, str] = {}
    _ask_by_halves(index, pins(*(f"p{number}" for number in range(16))), tmp_path, found, without)
    assert without == {"p5": "no matching distribution for p5"}
    assert set(found) == index.has
    assert len(index.asked) <= 9


def test_an_index_that_answers_nothing_is_not_asked_for_ever(tmp_path: Path) -> None:
    index = Index(set())
    with pytest.raises(IndexUnavailable):
        _ask_by_halves(index, pins(*(f"p{number}" for number in range(64))), tmp_path, {}, {})
    assert len(index.asked) < 20


def test_only_files_for_this_interpreter_fit() -> None:
    assert fits_here("a-1.0-py3-none-any.whl")
    assert not fits_here("a-1.0-cp36-cp36m-win32.whl")
    assert not fits_here("a-1.0.tar.gz")
