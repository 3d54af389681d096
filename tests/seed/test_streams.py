"""`repro_hydra.rng`: streams by name that depend on nothing but seed, name, rank and worker."""

from __future__ import annotations

import multiprocessing
from itertools import product
from pathlib import Path

import pytest

import repro_hydra
from repro_hydra.seed.streams import rng, seed_sequence, streams_of


@pytest.mark.parametrize("kind", ["numpy", "python", "torch"])
def test_the_same_name_and_seed_give_the_same_stream(kind: str) -> None:
    def draw(name: str, seed: int) -> float:
        if kind == "torch":
            import torch

            return float(torch.rand(1, generator=rng(name, "torch", seed=seed)))
        return float(rng(name, kind, seed=seed).random())  # type: ignore[call-overload]

    assert draw("augment", 3) == draw("augment", 3)
    assert len({draw("augment", 3), draw("augment", 4), draw("dropout", 3)}) == 3


def test_no_two_of_seeds_names_ranks_and_workers_share_a_stream() -> None:
    """Where seed + rank makes seed 0 of rank 1 the same as seed 1 of rank 0."""
    states = {
        tuple(seed_sequence(seed, name, rank=rank, worker=worker).generate_state(4))
        for seed, name, rank, worker in product(range(6), ("a", "b"), range(4), range(4))
    }
    assert len(states) == 6 * 2 * 4 * 4


def test_within_a_run_it_is_the_runs_seed(tmp_path: Path) -> None:
    with repro_hydra.session({"seed": 3}, run_dir=tmp_path / "run"):
        inside = float(repro_hydra.rng("augment").random())
    assert inside == float(rng("augment", seed=3).random())


def test_drawing_from_one_shifts_no_other(tmp_path: Path) -> None:
    """Nor the global generators, which the run seeded."""
    import numpy as np

    with repro_hydra.session({"seed": 3}, run_dir=tmp_path / "a"):
        alone = (float(rng("b").random()), float(np.random.rand()))
    with repro_hydra.session({"seed": 3}, run_dir=tmp_path / "b"):
        rng("a").random(100)
        beside = (float(rng("b").random()), float(np.random.rand()))
    assert alone == beside


def test_outside_of_a_run_a_seed_is_needed() -> None:
    with pytest.raises(LookupError, match=r"rng\('augment', seed=0\)"):
        rng("augment")
    with pytest.raises(ValueError, match="kind"):
        rng("augment", "jax", seed=0)  # type: ignore[call-overload]


def _draw(queue: multiprocessing.Queue[float]) -> None:
    queue.put(float(rng("augment").random()))


def test_a_forked_child_knows_the_seed() -> None:
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    with streams_of(3, 0):
        child = context.Process(target=_draw, args=(queue,))  # type: ignore[arg-type]
        child.start()
        assert queue.get(timeout=30) == float(rng("augment").random())
        child.join()


def test_each_dataloader_worker_has_its_own() -> None:
    torch = pytest.importorskip("torch")

    class Draws(torch.utils.data.Dataset):  # type: ignore[misc,name-defined]
        def __len__(self) -> int:
            return 2

        def __getitem__(self, _index: int) -> float:
            return float(rng("augment").random())

    with streams_of(3, 0):
        loader = torch.utils.data.DataLoader(Draws(), num_workers=2, batch_size=1)
        first, second = (float(batch) for batch in loader)
    assert first != second
