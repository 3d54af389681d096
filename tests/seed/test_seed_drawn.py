"""`repro_hydra.seed.drawn`: which stream a process draws from, told by each library's own generator."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from repro_hydra.random_states import unchanged_states
from repro_hydra.seed import seed_everything
from repro_hydra.seed.drawn import streams_drawn_from


@pytest.fixture(autouse=True)
def states() -> Iterator[None]:
    with unchanged_states():
        yield


def draw() -> None:
    random.random()
    np.random.rand(3)
    torch.rand(3)


def test_what_nobody_drew_from_has_no_stream() -> None:
    """Also with a rank's seed, which has more than 32 bits; each library is told once it was drawn from."""
    for rank in (0, 1):
        seed_everything(5, rank=rank)
        assert streams_drawn_from() == {}
        np.random.rand()
        assert streams_drawn_from().keys() == {"numpy"}
        draw()
        assert streams_drawn_from().keys() == {"python", "numpy", "torch"}


def test_equal_seeds_share_a_stream_and_others_do_not() -> None:
    """Seeds and ranks apart give streams apart in every library; torch's is known however much was drawn."""
    found = []
    for seed, rank in ((5, 0), (5, 0), (5, 1), (6, 0)):
        seed_everything(seed, rank=rank)
        draw()
        found.append(streams_drawn_from())
    first, again, *others = found
    assert first == again
    for other in others:
        assert all(other[library] != first[library] for library in first)
    seed_everything(5)
    torch.rand(7)
    assert streams_drawn_from() == {"torch": first["torch"]}


def test_numpys_second_half_of_a_pair_counts() -> None:
    """A normal number leaves one behind: the generator was drawn from, wherever it stands."""
    np.random.seed(3)
    np.random.standard_normal()
    with_pair = streams_drawn_from()["numpy"]
    np.random.standard_normal()
    assert streams_drawn_from()["numpy"] != with_pair
