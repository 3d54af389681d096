"""`repro_hydra.seed.apply`: seeds reach each library, and what is recorded is what was set.

Global generators are what is under test, so each test gives their states back; torch runs in a process of its own.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro_hydra.config import SeedConf
from repro_hydra.seed import (
    MAX_SEED,
    SeedError,
    choose_seeds,
    read_back,
    seed_everything,
    set_numpy,
    set_python,
)


@pytest.fixture(autouse=True, scope="module")
def _states() -> Iterator[None]:
    python, legacy = random.getstate(), np.random.get_state()
    yield
    random.setstate(python)
    np.random.set_state(legacy)


def run_python(source: str) -> Any:
    """What a fresh interpreter prints as JSON on its last line."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@given(st.integers(0, MAX_SEED))
def test_the_seed_set_is_the_seed_read_back(seed: int) -> None:
    """Python and NumPy answer with the seed they were given, over the whole range."""
    chosen = choose_seeds(SeedConf(), seed)
    set_python(chosen)
    set_numpy(chosen)
    found = read_back(chosen)
    assert (found["python"], found["numpy"]) == (seed, seed)


def test_equal_seeds_give_equal_draws_and_zero_is_a_seed() -> None:
    """Seed 0 fixes the draws like any other, and is not another seed's."""

    def draws(seed: int) -> tuple[float, float]:
        seed_everything(seed)
        return random.random(), float(np.random.random())

    assert draws(0) == draws(0)
    assert draws(0) != draws(1)


def test_a_reseed_by_somebody_else_is_read_back() -> None:
    """What is read back is what the libraries hold, not what was asked of them."""
    chosen = choose_seeds(SeedConf(), 3)
    set_python(chosen)
    set_numpy(chosen)
    random.seed(4)
    np.random.seed(5)
    found = read_back(chosen)
    assert found["python"] is None
    assert found["numpy"] == 5


def test_a_generator_that_was_drawn_from_has_no_seed_to_read() -> None:
    """After a draw no seed describes the state any more, so none is claimed."""
    chosen = choose_seeds(SeedConf(), 3)
    set_python(chosen)
    set_numpy(chosen)
    random.random()
    np.random.random()
    assert read_back(chosen)["python"] is None
    assert read_back(chosen)["numpy"] is None


def test_each_rank_has_numbers_that_no_other_rank_and_no_other_seed_has() -> None:
    """In each library, where `seed + rank` would repeat itself; rank 0 has those of the seed alone."""
    answer = run_python(
        """
        import json, random
        import numpy as np, torch
        from repro_hydra.seed import seed_everything

        def draws(seed, rank):
            back = seed_everything(seed, rank=rank)
            assert back["python"] == back["numpy"] == back["torch"] == seed + rank * 2**32, back
            return random.random(), float(np.random.rand()), float(torch.rand(1, dtype=torch.float64))

        pairs = [(seed, rank) for seed in range(5) for rank in range(4)]
        seen = [draws(*pair) for pair in pairs]
        again = [draws(*pair) for pair in pairs]
        random.seed(3); np.random.seed(3); torch.manual_seed(3)
        plain = (random.random(), float(np.random.rand()), float(torch.rand(1, dtype=torch.float64)))
        cut_off = [float(torch.rand(1, generator=torch.Generator().manual_seed(s))) for s in (5, 5 + 2**32)]
        print(json.dumps({"distinct": [len(set(column)) for column in zip(*seen)], "again": seen == again,
                          "rank 0": draws(3, 0) == plain, "torch cuts off": cut_off[0] == cut_off[1]}))
        """
    )
    assert answer == {"distinct": [20, 20, 20], "again": True, "rank 0": True, "torch cuts off": True}
    with pytest.raises(SeedError, match="rank"):
        seed_everything(1, rank=-1)


def test_torchs_generator_is_written_as_torch_itself_writes_it() -> None:
    """The words that a seed of 32 bits gives, put where a wide seed's words go, give torch's own numbers for it."""
    answer = run_python(
        """
        import json
        import numpy as np, torch
        from repro_hydra.wide_seeds import set_words

        generator, own = torch.Generator(), torch.Generator().manual_seed(7)
        torch.randn(3, generator=generator)  # leaves half of a pair behind
        set_words(generator, 7, np.random.RandomState(7).get_state(legacy=False)["state"]["key"].tolist())
        same = [torch.equal(draw(3000, generator=generator), draw(3000, generator=own))
                for draw in (torch.rand, torch.randn, torch.randperm)]
        print(json.dumps([*same, generator.initial_seed()]))
        """
    )
    assert answer == [True, True, True, 7]


def test_what_is_not_imported_is_neither_seeded_nor_imported() -> None:
    """Seeding costs a script no library that it does not use."""
    answer = run_python(
        """
        import json, sys
        from repro_hydra.seed import seed_everything
        found = seed_everything(1)
        print(json.dumps({"found": found, "heavy": [n for n in ("numpy", "torch") if n in sys.modules]}))
        """
    )
    assert answer == {"found": {"python": 1, "numpy": None, "torch": None, "cuda": None}, "heavy": []}


def test_torch_imported_late_is_seeded_on_import_and_says_so() -> None:
    """A task that imports torch inside its function draws what a seeded torch draws, and its seed is recorded."""
    answer = run_python(
        """
        import json
        from repro_hydra.config import SeedConf
        from repro_hydra.imports import LateImports
        from repro_hydra.seed import choose_seeds, read_back, set_torch

        late, found = LateImports(), {}
        late.install()
        chosen = choose_seeds(SeedConf(), 0)
        def seed():
            set_torch(chosen)
            found.update(read_back(chosen))
        late.when_imported("torch", seed)
        import torch
        late_draw = torch.rand(3).tolist()
        torch.manual_seed(0)
        same = torch.rand(3).tolist()
        torch.manual_seed(1)
        other = torch.rand(3).tolist()
        torch.manual_seed(9)
        print(json.dumps({"equal": late_draw == same, "other": late_draw == other, "torch": found["torch"],
                          "later": read_back(chosen)["torch"]}))
        """
    )
    assert answer == {"equal": True, "other": False, "torch": 0, "later": 9}


def test_data_loader_workers_give_equal_samples_for_equal_seeds() -> None:
    """With two workers that draw from Python, NumPy and torch, a seed fixes every sample; another changes them."""
    answer = run_python(
        """
        import json, random
        import numpy as np, torch
        from torch.utils.data import DataLoader, Dataset
        from repro_hydra.seed import seed_everything

        class Noise(Dataset):
            def __len__(self):
                return 8
            def __getitem__(self, index):
                return torch.tensor([index, random.random(), np.random.random(), torch.rand(()).item()],
                                    dtype=torch.float64)

        def samples(seed):
            seed_everything(seed)
            loader = DataLoader(Noise(), batch_size=2, shuffle=True, num_workers=2, multiprocessing_context="fork")
            return torch.cat(list(loader)).tolist()

        first, again, other = samples(0), samples(0), samples(1)
        print(json.dumps({"equal": first == again, "other": first == other,
                          "distinct": [len({row[column] for row in first}) for column in (1, 2, 3)]}))
        """
    )
    assert answer == {"equal": True, "other": False, "distinct": [8, 8, 8]}
