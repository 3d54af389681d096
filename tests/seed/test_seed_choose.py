"""`repro_hydra.seed.choose`: which seed a run gets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro_hydra.config import DEFAULT_SEED, SeedConf
from repro_hydra.seed import MAX_SEED, SeedError, check_seed, choose_seeds


@given(st.integers(0, MAX_SEED))
def test_every_seed_in_range_is_itself(seed: int) -> None:
    """A seed from 0 to 2**32 - 1 is taken as it is, by every library."""
    chosen = choose_seeds(SeedConf(), seed)
    assert (chosen.seed, chosen.python, chosen.numpy, chosen.torch, chosen.cuda) == (seed,) * 5
    assert not chosen.defaulted


def test_zero_is_a_seed() -> None:
    """Seed 0 is neither missing nor replaced by the default, and a library's own 0 is its own."""
    assert choose_seeds(SeedConf(), 0).seed == 0
    own = choose_seeds(SeedConf(numpy=0, torch=0), 7)
    assert (own.numpy, own.torch, own.cuda, own.python) == (0, 0, 0, 7)


def test_a_missing_seed_is_the_default_and_says_so() -> None:
    """Without a seed in the config the documented default is taken, marked as such."""
    chosen = choose_seeds(SeedConf(), None)
    assert (chosen.seed, chosen.defaulted) == (DEFAULT_SEED, True)
    assert choose_seeds(SeedConf(default=0), None).seed == 0


@pytest.mark.parametrize("value", [-1, MAX_SEED + 1, 1.0, "3", True, [1], float("nan")])
def test_what_is_no_seed_is_refused(value: Any) -> None:
    """The message names the key, what was expected, what was found, and a next step."""
    with pytest.raises(SeedError) as caught:
        choose_seeds(SeedConf(key="train.seed"), value)
    message = str(caught.value)
    assert message.startswith("train.seed: expected an integer from 0 to 4294967295, found ")
    assert repr(value) in message
    assert "Run with: train.seed=0" in message


def test_a_bad_default_and_a_key_of_a_mapping_are_named_as_what_they_are() -> None:
    """The message names the option that is wrong, and shows no content of a config that is no seed."""
    with pytest.raises(SeedError, match=r"^hydra\.callbacks\.repro\.seed\.default: .* found -3\."):
        choose_seeds(SeedConf(default=-3), None)
    for key, where in (("train", "train"), ("", "the config")):
        with pytest.raises(
            SeedError, match=rf"^{where}: .* found a mapping .*repro\.seed\.key=KEY$"
        ) as caught:
            choose_seeds(SeedConf(key=key), {"seed": 7, "password": "x"})
        assert "password" not in str(caught.value)


def test_a_bad_seed_of_a_library_names_its_key() -> None:
    """A library's own seed is checked like the run's, under its own name."""
    with pytest.raises(SeedError, match=r"^hydra\.callbacks\.repro\.seed\.numpy: "):
        choose_seeds(SeedConf(numpy=-1), 1)


def test_cuda_follows_torch_unless_it_has_its_own() -> None:
    """`torch.manual_seed` seeds the devices too, so theirs is torch's until another is given."""
    assert choose_seeds(SeedConf(torch=5), 1).cuda == 5
    assert choose_seeds(SeedConf(torch=5, cuda=6), 1).cuda == 6


def test_ranks_are_seeded_apart_unless_asked_otherwise() -> None:
    """By default no rank has another's seed, nor that of any run of a sweep; rank 0 has the configured one."""
    seeds = {choose_seeds(SeedConf(), seed, rank=rank).torch for seed in range(5) for rank in range(8)}
    assert len(seeds) == 5 * 8
    assert all(seed > MAX_SEED for seed in seeds - set(range(5)))
    apart = choose_seeds(SeedConf(numpy=7), 10, rank=3)
    assert (apart.seed, apart.python, apart.numpy) == (10, 10 + 3 * 2**32, 7 + 3 * 2**32)
    assert choose_seeds(SeedConf(ranks_alike=True), 10, rank=3).torch == 10
    assert choose_seeds(SeedConf(rank_offset=True), 10, rank=3).torch == 13
    with pytest.raises(SeedError, match=r"seed \+ rank"):
        choose_seeds(SeedConf(rank_offset=True), MAX_SEED, rank=1)


def test_check_seed_returns_the_seed() -> None:
    """Both ends of the range are seeds."""
    assert (check_seed(0), check_seed(MAX_SEED)) == (0, MAX_SEED)


def test_numpys_integers_are_seeds() -> None:
    """Whoever loops over `numpy.arange` has them; what comes back is Python's own, which JSON can hold."""
    for kind in (np.int64, np.uint32):
        assert type(check_seed(kind(7))) is int
        assert choose_seeds(SeedConf(), kind(7)).numpy == 7
    with pytest.raises(SeedError, match=r"found .*\(bool"):
        check_seed(np.bool_(True))
