"""Going through a DataLoader from any batch on, with what the loader draws from drawn as it was the first time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

from torch.utils.data import BatchSampler, DataLoader

from repro_hydra.checkpoint import generators
from repro_hydra.checkpoint.keyed import KeyedDataset, KeyedSampler
from repro_hydra.checkpoint.workers import undisturbed


def generators_of(loader: Any) -> list[Any]:
    """The torch generators that the loader and its samplers draw from, each once."""
    batch_sampler = getattr(loader, "batch_sampler", None)
    holders = (
        loader,
        getattr(loader, "sampler", None),
        batch_sampler,
        getattr(batch_sampler, "sampler", None),
    )
    found: list[Any] = []
    for holder in holders:
        generator = getattr(holder, "generator", None)
        if generators.is_generator(generator) and all(generator is not other for other in found):
            found.append(generator)
    return found


def keyed_sampler(loader: Any) -> KeyedSampler | None:
    """The sampler that can begin anywhere, where the loader has one and its batches are consecutive pieces of it."""
    batch_sampler = getattr(loader, "batch_sampler", None)
    if type(batch_sampler) is BatchSampler and isinstance(batch_sampler.sampler, KeyedSampler):
        return batch_sampler.sampler
    sampler = getattr(loader, "sampler", None)
    return sampler if batch_sampler is None and isinstance(sampler, KeyedSampler) else None


def set_epoch(loader: Any, epoch: int) -> None:
    """Tell each sampler that wants to know which epoch it is (`KeyedSampler`, torch's DistributedSampler)."""
    batch_sampler = getattr(loader, "batch_sampler", None)
    told: list[Any] = []
    for sampler in (getattr(loader, "sampler", None), batch_sampler, getattr(batch_sampler, "sampler", None)):
        setter = getattr(sampler, "set_epoch", None)
        if callable(setter) and all(sampler is not other for other in told):
            setter(epoch)
            told.append(sampler)


def batches_from(loader: Iterable[Any], done: int) -> Iterator[Any]:
    """The loader's batches after the first `done`, with the generators as they are when this is called.

    A `KeyedSampler` begins there at once. Otherwise the batches before are loaded and dropped: only so do samplers,
    datasets and workers come to the state in which they were.
    """
    with ExitStack() as stack:
        if isinstance(loader, DataLoader):
            stack.enter_context(undisturbed(loader))
        keyed = keyed_sampler(loader)
        if keyed is not None and done:
            batch_sampler = getattr(loader, "batch_sampler", None)
            keyed.begin_at(done * (batch_sampler.batch_size if batch_sampler is not None else 1))
            return iter(loader)
        iterator = iter(loader)
        if done:
            # The first batch is asked for within, too: workers are started by then.
            next(itertools.islice(iterator, done - 1, None), None)
        return iterator


def outlives_its_epoch(loader: Any) -> str | None:
    """Why the loader's workers hold a state that no checkpoint has; None where they hold none."""
    if not getattr(loader, "persistent_workers", False) or not getattr(loader, "num_workers", 0):
        return None
    if isinstance(loader.dataset, KeyedDataset):
        return None
    return (
        "persistent_workers=True: what the workers draw in an epoch depends on all epochs before, and their state is "
        "in no checkpoint. Leave it out, or wrap the dataset: repro_hydra.keyed(dataset, seed=…)"
    )
