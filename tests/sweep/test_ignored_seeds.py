"""Seeds that change nothing are told by equal weights; equal accuracies alone are no accusation."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro_hydra.record.manifest import write_manifest
from repro_hydra.record.paths import RunPaths
from repro_hydra.sweep.ignored_seeds import Equal, Repeat, equal_weights, told


def repeat(
    folder: Path, seed: int, weights: bytes | None, accuracy: float = 0.9, name: str = "m.pt"
) -> Repeat:
    run_dir = folder / f"{seed}-{len(list(folder.iterdir()))}"
    paths = RunPaths(run_dir)
    paths.record.mkdir(parents=True)
    if weights is not None:
        (run_dir / name).write_bytes(weights)
    write_manifest(paths)
    return Repeat(run_dir, seed, {"accuracy": accuracy})


def test_equal_weights_of_different_seeds_are_named(tmp_path: Path) -> None:
    """The seeds, and the file."""
    runs = [repeat(tmp_path, 1, b"w"), repeat(tmp_path, 2, b"w"), repeat(tmp_path, 3, b"v")]
    assert equal_weights(runs) == [Equal((1, 2), "m.pt")]
    assert "seeds 1 and 2" in told(Equal((1, 2), "m.pt"))


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: [repeat(folder, 1, None), repeat(folder, 2, None)],
        lambda folder: [repeat(folder, 1, b"w"), repeat(folder, 2, b"v")],
        lambda folder: [repeat(folder, 1, b"w"), repeat(folder, 1, b"w")],
        lambda folder: [
            repeat(folder, 1, b"same log", name="a.txt"),
            repeat(folder, 2, b"same log", name="a.txt"),
        ],
    ],
    ids=["no weights", "other weights", "one seed twice", "no file of weights"],
)
def test_equal_accuracies_alone_are_no_accusation(tmp_path: Path, make) -> None:  # type: ignore[no-untyped-def]
    """An accuracy is one of few values, and a seed may be run twice."""
    assert equal_weights(make(tmp_path)) == []


def test_a_run_without_a_manifest_is_passed_over(tmp_path: Path) -> None:
    """What cannot be read accuses nobody."""
    runs = [repeat(tmp_path, 1, b"w"), repeat(tmp_path, 2, b"w")]
    RunPaths(runs[0].dir).manifest.unlink()
    assert equal_weights(runs) == []
