"""`repro_hydra.reproduce.archived`: checkpoints that name the directory which they lie in."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from repro_hydra.reproduce.archived import same_but_for_directory

torch = pytest.importorskip("torch", reason="what checkpoints are made by")


def saved(run: Path, value: float = 1.0, **more: Any) -> tuple[Path, str]:
    """As Lightning does it: with the file's path in it, and hyperparameters that no safe loader takes."""
    run.mkdir(parents=True, exist_ok=True)
    file = run / "epoch=0.ckpt"
    state = {"weight": torch.full((3,), value), "bias": torch.zeros(2)}
    where = {"best_model_path": str(file), "best_k_models": {str(file): torch.tensor(0.5)}}
    torch.save({"state_dict": state, "callbacks": where, "hyper_parameters": partial(max, 3), **more}, file)
    return file, str(run)


def test_another_directory_is_no_difference(tmp_path: Path) -> None:
    """Whatever the length of its name; weights and values are."""
    first = saved(tmp_path / "a")
    assert same_but_for_directory(first, saved(tmp_path / ("x" * 150) / ("y" * 150))) == 3
    assert same_but_for_directory(first, saved(tmp_path / "b", value=1.5)) is None
    assert same_but_for_directory(first, saved(tmp_path / "c", epoch=2)) is None


def test_what_is_no_archive(tmp_path: Path) -> None:
    """A file of another kind, or one cut short, is for others to look into."""
    first = saved(tmp_path / "a")
    for name, content in (("text", b"epoch 1"), ("cut", first[0].read_bytes()[:200])):
        other = tmp_path / f"{name}.ckpt"
        other.write_bytes(content)
        assert same_but_for_directory(first, (other, str(tmp_path))) is None
