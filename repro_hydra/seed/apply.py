"""Setting the seeds, and reading back what was set."""

from __future__ import annotations

import random
import sys

from repro_hydra.imports import is_imported
from repro_hydra.seed.choose import ChosenSeeds, check_seed

SeedsSet = dict[str, "int | None"]
"""Library to the seed that is in force in it; None where the library (or a device) is not there."""


def seed_everything(seed: int, *, rank: int | None = None) -> SeedsSet:
    """Seed Python, NumPy's global generator, and torch on every device, as far as they are imported.

    Parameters
    ----------
    seed : int
        From 0 to 2**32 - 1.
    rank : int, optional
        Added to the seed where given. Seed 0 on rank 1 is then seed 1 on rank 0: a sweep over seeds whose
        repeats have several ranks is not a sweep of independent repeats.

    Returns
    -------
    dict
        What each library answers when asked for its seed.

    Raises
    ------
    SeedError
        For a seed that is negative, too large or no integer.
    """
    value = check_seed(seed)
    if rank is not None:
        value = check_seed(value + rank, "seed + rank")
    chosen = ChosenSeeds(seed=value, python=value, numpy=value, torch=value, cuda=value, defaulted=False)
    set_python(chosen)
    if is_imported("numpy"):
        set_numpy(chosen)
    if is_imported("torch"):
        set_torch(chosen)
    return read_back(chosen)


def set_python(chosen: ChosenSeeds) -> None:
    random.seed(chosen.python)


def set_numpy(chosen: ChosenSeeds) -> None:
    import numpy as np

    np.random.seed(chosen.numpy)


def set_torch(chosen: ChosenSeeds) -> None:
    """Seed torch's default generators; CUDA's are seeded lazily by torch where CUDA is not yet initialised."""
    import torch

    torch.manual_seed(chosen.torch)
    if chosen.cuda != chosen.torch:
        torch.cuda.manual_seed_all(chosen.cuda)


def read_back(chosen: ChosenSeeds) -> SeedsSet:
    """Ask each library which seed it runs with: right after seeding, before anything was drawn."""
    return {
        "python": _read_python(chosen),
        "numpy": _read_numpy(),
        "torch": _read_torch(),
        "cuda": _read_cuda(chosen),
    }


def _read_python(chosen: ChosenSeeds) -> int | None:
    # Python does not tell its seed: compare with the state that this seed gives.
    return chosen.python if random.getstate() == random.Random(chosen.python).getstate() else None


def _read_numpy() -> int | None:
    numpy = sys.modules.get("numpy")
    if numpy is None or not is_imported("numpy"):
        return None
    # MT19937's first key word is the seed it was initialised with (init_genrand, Matsumoto & Nishimura 2002).
    state = numpy.random.get_state(legacy=False)
    if state["bit_generator"] != "MT19937" or state["state"]["pos"] != 624:
        return None
    return int(state["state"]["key"][0])


def _read_torch() -> int | None:
    torch = sys.modules.get("torch")
    return int(torch.initial_seed()) if torch is not None and is_imported("torch") else None


def _read_cuda(chosen: ChosenSeeds) -> int | None:
    torch = sys.modules.get("torch")
    if torch is None or not is_imported("torch") or not torch.cuda.is_available():
        return None
    if not torch.cuda.is_initialized():
        return chosen.cuda  # queued by torch, applied when CUDA starts; asking would start it
    return int(torch.cuda.initial_seed())
