"""Order and randomness by seed, epoch and index: the same from any batch on, with any number of workers."""

from __future__ import annotations

import random
from collections.abc import Sized
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset

from repro_hydra import KeyedSampler, keyed, resumable
from repro_hydra.checkpoint.preemption import Preempted, forget, request


class Noisy(Dataset[torch.Tensor]):
    """Draws from every generator that a dataset of somebody else's may use."""

    def __len__(self) -> int:
        return 13

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor([float(index), random.random(), np.random.rand(), torch.rand(1).item()])


def loader(workers: int, *, batched: bool = False, persistent: bool = False) -> DataLoader[Any]:
    data = keyed(Noisy(), seed=5)
    sampler = KeyedSampler(data, seed=5)
    options: dict[str, Any] = {"num_workers": workers, "persistent_workers": persistent}
    if batched:
        return DataLoader(data, batch_sampler=BatchSampler(sampler, 3, drop_last=False), **options)
    return DataLoader(data, 3, sampler=sampler, **options)


def all_batches(source: DataLoader[Any], directory: Any, stop_at: int | None = None) -> list[torch.Tensor]:
    """What three epochs give, drawing in between as a training step does. (The list itself goes on, too.)"""
    seen = []
    with resumable(directory=directory, name="loop") as state:
        for _ in state.epochs(3):
            for batch in state.batches(source):
                torch.rand(2)
                seen.append(batch)
                if len(seen) == stop_at:
                    request()
    return seen


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_resumed_epoch_goes_on_with_any_number_of_workers(workers: int, tmp_path: Any) -> None:
    """Stopped within the second epoch without workers, gone on with `workers`: the batches of an undisturbed run."""
    torch.manual_seed(0)
    expected = all_batches(loader(0), tmp_path / "whole")
    with pytest.raises(Preempted):
        all_batches(loader(0), tmp_path / "struck", stop_at=7)
    forget()
    found = all_batches(loader(workers, batched=workers == 2, persistent=workers == 1), tmp_path / "struck")
    assert len(found) == len(expected) == 15
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def test_samples_differ_between_epochs_and_repeat_within() -> None:
    """Each epoch has its own order and noise; `at` makes any sample again, and the process draws as if nothing were."""
    data = keyed(Noisy(), seed=5)
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = random.random(), np.random.rand(), torch.rand(1).item()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    first, again, other = data.at(0, 4), data.at(0, 4), data.at(1, 4)
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == expected
    assert torch.equal(first, again)
    assert not set(first[1:].tolist()) & set(other[1:].tolist())
    assert len({data.at(epoch, index)[1].item() for epoch in range(20) for index in range(13)}) == 260
    sampler = KeyedSampler(Noisy(), seed=5)
    orders = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        orders.append([int(index) for index in sampler])
    assert orders[0] != orders[1] != orders[2]
    assert all(sorted(order) == list(range(13)) for order in orders)


def test_ranks_share_an_epoch_between_them() -> None:
    """Every sample is taken, each rank has equally many, and all follow one order."""
    parts = [[int(i) for i in KeyedSampler(13, seed=1, rank=rank, world_size=4)] for rank in range(4)]
    assert [len(part) for part in parts] == [4] * 4
    assert set().union(*parts) == set(range(13))
    in_order: Sized = KeyedSampler(5, seed=1, shuffle=False)
    assert [int(index) for index in in_order] == [0, 1, 2, 3, 4]  # type: ignore[attr-defined]


def test_an_index_that_knows_no_epoch_is_refused() -> None:
    """An ordinary sampler would give every epoch the same noise."""
    data = keyed(Noisy(), seed=0)
    with pytest.raises(TypeError, match="expected an index from a KeyedSampler"):
        next(iter(DataLoader(data, 2, shuffle=True)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: KeyedSampler(3, seed=-1), "seed: expected from 0"),
        (lambda: KeyedSampler(3, seed=0, rank=2, world_size=2), "rank: expected from 0 to 1"),
        (lambda: keyed(iter([]), seed=0), "expected a dataset"),
        (lambda: keyed([1], seed=-1), "seed"),
    ],
)
def test_misuse_is_told(call: Any, words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        call()
