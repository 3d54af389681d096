"""Setting the seeds, and reading back what was set."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from functools import partial

from repro_hydra.imports import is_imported
from repro_hydra.seed.choose import MAX_SEED, ChosenSeeds, check_seed, rank_seed
from repro_hydra.wide_seeds import numpy_words, python_key, seed_torch_generator

SeedsSet = dict[str, "int | None"]
"""Library to the seed that is in force in it; None where the library (or a device) is not there."""
WhenImported = Callable[[str, Callable[[], None]], None]


def seed_everything(seed: int, *, rank: int = 0) -> SeedsSet:
    """Seed Python, NumPy's global generator, and torch on every device, as far as they are imported.

    Parameters
    ----------
    seed : int
        From 0 to 2**32 - 1.
    rank : int
        Each rank of a seed gets numbers that no other rank and no other seed gets (`rank_seed`); rank 0 those of
        the seed itself. The common ``seed + rank`` gives rank 1 of seed 0 what rank 0 of seed 1 has.

    Returns
    -------
    dict
        What each library answers when asked for its seed.

    Raises
    ------
    SeedError
        For a seed or a rank that is negative, too large or no integer.
    """
    value = rank_seed(check_seed(seed), check_seed(rank, "rank"))
    chosen = ChosenSeeds(seed=seed, python=value, numpy=value, torch=value, cuda=value, defaulted=False)
    seed_libraries(chosen, lambda library, seed: seed() if is_imported(library) else None)
    return read_back(chosen)


def seed_libraries(
    chosen: ChosenSeeds, when_imported: WhenImported, seeded: Callable[[str], None] | None = None
) -> None:
    """Seed Python at once, and each other library when it is there.

    Parameters
    ----------
    when_imported : callable
        Given a library's name and what seeds it; `LateImports.when_imported`, as a rule.
    seeded : callable, optional
        Told of each library right after it was seeded.
    """

    def seed(library: str, setter: Callable[[ChosenSeeds], None]) -> None:
        setter(chosen)
        if seeded is not None:
            seeded(library)

    seed("python", set_python)
    for library, setter in (("numpy", set_numpy), ("torch", set_torch), ("tensorflow", set_tensorflow)):
        when_imported(library, partial(seed, library, setter))


def set_python(chosen: ChosenSeeds) -> None:
    random.seed(python_key(chosen.python))


def set_numpy(chosen: ChosenSeeds) -> None:
    import numpy as np

    np.random.seed(numpy_words(chosen.numpy))


def set_torch(chosen: ChosenSeeds) -> None:
    """Seed torch's default generators; CUDA's are seeded lazily by torch where CUDA is not yet initialised."""
    import torch

    torch.manual_seed(chosen.torch % 2**63)
    if chosen.torch > MAX_SEED:
        seed_torch_generator(torch.default_generator, chosen.torch)
    if chosen.cuda != chosen.torch:
        torch.cuda.manual_seed_all(chosen.cuda % 2**63)


def set_tensorflow(chosen: ChosenSeeds) -> None:
    """Seed TensorFlow's global generator, which takes 64 bits; it has the seed that torch has."""
    sys.modules["tensorflow"].random.set_seed(chosen.torch % 2**63)


def read_back(chosen: ChosenSeeds) -> SeedsSet:
    """Ask each library which seed it runs with: right after seeding, before anything was drawn."""
    return {
        "python": _read_python(chosen),
        "numpy": _read_numpy(chosen),
        "torch": _read_torch(),
        "cuda": _read_cuda(chosen),
    }


def _read_python(chosen: ChosenSeeds) -> int | None:
    # Python does not tell its seed: compare with the state that this seed gives.
    return chosen.python if random.getstate() == random.Random(python_key(chosen.python)).getstate() else None


def _read_numpy(chosen: ChosenSeeds) -> int | None:
    numpy = sys.modules.get("numpy")
    if numpy is None or not is_imported("numpy"):
        return None
    # MT19937's first key word is the seed it was initialised with (init_genrand, Matsumoto & Nishimura 2002).
    state = numpy.random.get_state(legacy=False)
    if state["bit_generator"] != "MT19937" or state["state"]["pos"] != 624:
        return None
    if chosen.numpy <= MAX_SEED:
        return int(state["state"]["key"][0])
    # Initialised with an array instead, which cannot be read out of it.
    other = numpy.random.RandomState(numpy_words(chosen.numpy)).get_state(legacy=False)
    return chosen.numpy if (other["state"]["key"] == state["state"]["key"]).all() else None


def _read_torch() -> int | None:
    torch = sys.modules.get("torch")
    return int(torch.initial_seed()) if torch is not None and is_imported("torch") else None


def _read_cuda(chosen: ChosenSeeds) -> int | None:
    torch = sys.modules.get("torch")
    if torch is None or not is_imported("torch"):
        return None
    # Not `is_available`, which starts the driver: no child that is forked from here could then use a GPU.
    if torch.cuda.device_count() == 0:
        return None
    if not torch.cuda.is_initialized():
        return chosen.cuda  # queued by torch, applied when CUDA starts; asking would start it
    return int(torch.cuda.initial_seed())
