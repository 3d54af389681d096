"""Data in an order, and with a randomness, that follow from seed, epoch and index alone.

An epoch's permutation comes from ``Philox(SeedSequence([seed, epoch]))`` and a sample's generators from
``SeedSequence([seed, epoch, index])`` (counter-based generators: Salmon et al., SC 2011). So any sample of any epoch
can be made again by itself, in any process: resuming needs no replay and does not depend on the number of workers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import Dataset, Sampler

from repro_hydra.random_states import unchanged_states
from repro_hydra.wide_seeds import seed_torch_generator

if TYPE_CHECKING:
    import numpy as np

_ORDER, _SAMPLE = 0, 1
"""First word of the spawn key, so that an epoch's order and its samples share no stream."""


class KeyedIndex(int):
    """An index that knows its epoch: it travels to the workers with it."""

    epoch: int

    def __new__(cls, index: int, epoch: int) -> KeyedIndex:
        made = super().__new__(cls, index)
        made.epoch = epoch
        return made

    def __reduce__(self) -> tuple[type[KeyedIndex], tuple[int, int]]:
        return type(self), (int(self), self.epoch)


class KeyedSampler(Sampler[int]):
    """An order of the dataset for each epoch, the same whenever it is asked for.

    Parameters
    ----------
    data : sized or int
        The dataset, or how many samples it has.
    seed : int
        The run's, from 0.
    shuffle : bool
        Off: in the dataset's order, each index still knowing its epoch.
    rank, world_size : int
        Every rank takes each `world_size`-th sample; so that all have equally many, the first ones are taken twice.

    Examples
    --------
    >>> sampler = KeyedSampler(5, seed=0)
    >>> sampler.set_epoch(3)
    >>> order = [int(index) for index in sampler]
    >>> sorted(order), order == [int(index) for index in sampler]
    ([0, 1, 2, 3, 4], True)
    """

    def __init__(
        self, data: Sized | int, *, seed: int, shuffle: bool = True, rank: int = 0, world_size: int = 1
    ) -> None:
        if not 0 <= rank < world_size:
            raise ValueError(f"rank: expected from 0 to {world_size - 1}, found {rank}")
        if seed < 0:
            raise ValueError(f"seed: expected from 0, found {seed}")
        self._size = data if isinstance(data, int) else len(data)
        self._seed = seed
        self._shuffle = shuffle
        self._rank, self._world_size = rank, world_size
        self._begin = 0
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """The epoch whose order comes next; `state.batches` does it by itself."""
        self.epoch = epoch

    def begin_at(self, position: int) -> None:
        """Let the next iteration, and only that, begin after `position` samples."""
        self._begin = position

    def __len__(self) -> int:
        return (self._size + self._world_size - 1) // self._world_size

    def __iter__(self) -> Iterator[int]:
        begin, self._begin = self._begin, 0
        epoch = self.epoch
        own = self._order(epoch)[self._rank :: self._world_size]
        return (KeyedIndex(index, epoch) for index in own[begin:])

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.epoch = state["epoch"]

    def _order(self, epoch: int) -> list[int]:
        import numpy

        if self._shuffle:
            sequence = numpy.random.SeedSequence([self._seed, epoch], spawn_key=(_ORDER,))
            order: list[int] = (
                numpy.random.Generator(numpy.random.Philox(sequence)).permutation(self._size).tolist()
            )
        else:
            order = list(range(self._size))
        missing = len(self) * self._world_size - self._size
        return order + order[:missing]


class KeyedDataset(Dataset[Any]):
    """A dataset whose samples each draw from generators of their own; made by `keyed`."""

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        if not isinstance(index, KeyedIndex):
            raise TypeError(
                "keyed(dataset)[index]: expected an index from a KeyedSampler, which knows its epoch, found "
                f"{index!r}. Give the loader one: DataLoader(data, sampler=KeyedSampler(data, seed=…)), or take "
                "data.at(epoch, index)"
            )
        return self.at(index.epoch, int(index))

    def at(self, epoch: int, index: int) -> Any:
        """Sample `index` as epoch `epoch` has it."""
        import numpy

        sequence = numpy.random.SeedSequence([self.seed, epoch, index], spawn_key=(_SAMPLE,))
        with _drawing_from(sequence):
            return self.dataset[index]


def keyed(dataset: Any, *, seed: int) -> KeyedDataset:
    """Let each sample draw (from `random`, `numpy.random`, torch on the CPU) what seed, epoch and index alone decide.

    Use it with a `KeyedSampler`. The process's own generators are left as they were.

    Parameters
    ----------
    dataset : map-style dataset
        With ``__len__`` and ``__getitem__``.
    seed : int
        The run's, from 0.
    """
    if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        raise TypeError(f"keyed: expected a dataset with len() and [index], found {type(dataset).__name__}")
    if seed < 0:
        raise ValueError(f"seed: expected from 0, found {seed}")
    return KeyedDataset(dataset, seed)


@contextmanager
def _drawing_from(sequence: np.random.SeedSequence) -> Iterator[None]:
    import numpy

    with unchanged_states():
        words = sequence.generate_state(12)
        # Without `random.seed` and `torch.manual_seed`: those would touch CUDA, and are watched for seeding again.
        random.setstate(random.Random(_number(words[:4])).getstate())
        generator = torch.Generator()
        seed_torch_generator(generator, _number(words[4:8]))
        torch.set_rng_state(generator.get_state())
        numpy.random.set_state(
            numpy.random.RandomState(numpy.random.MT19937(sequence)).get_state(legacy=False)
        )
        yield


def _number(words: np.ndarray[Any, Any]) -> int:
    return int.from_bytes(words.tobytes(), "little")
