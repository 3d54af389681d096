"""The state of every random generator: Python's, NumPy's, torch's on each device, and those that were handed in."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from typing import Any

import torch

from repro_hydra.checkpoint.errors import CheckpointError
from repro_hydra.checkpoint.plain import from_plain, to_plain


def take_global() -> dict[str, Any]:
    """The states of the generators that belong to the whole process, as plain data."""
    states: dict[str, Any] = {"python": random.getstate(), "torch": torch.get_rng_state()}
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        states["numpy"] = to_plain(numpy.random.get_state(legacy=False), "numpy.random")
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        states["mps"] = torch.mps.get_rng_state()
    return states


def put_global(states: Mapping[str, Any]) -> None:
    """Set the process's generators to `states`.

    Raises
    ------
    CheckpointError
        On a machine with another number of CUDA devices.
    """
    cuda = states.get("cuda")
    if cuda is not None:
        found = torch.cuda.device_count()
        if found != len(cuda):
            raise CheckpointError(
                f"expected {len(cuda)} CUDA devices, since the checkpoint has the state of their generators, "
                f"found {found}. Go on with as many, or load it with random=False and accept other numbers"
            )
    random.setstate(states["python"])
    torch.set_rng_state(states["torch"].cpu())
    if "numpy" in states:
        import numpy

        numpy.random.set_state(from_plain(states["numpy"]))
    if cuda is not None:
        torch.cuda.set_rng_state_all([state.cpu() for state in cuda])
    if "mps" in states and torch.backends.mps.is_available():
        torch.mps.set_rng_state(states["mps"].cpu())


def is_generator(value: Any) -> bool:
    """Whether it is a generator of Python, NumPy or torch."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, (numpy.random.Generator, numpy.random.RandomState)):
        return True
    return isinstance(value, (random.Random, torch.Generator))


def take(generator: Any) -> Any:
    """One generator's state as plain data."""
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    import numpy

    if isinstance(generator, numpy.random.RandomState):
        return to_plain(generator.get_state(legacy=False), "RandomState")
    return to_plain(generator.bit_generator.state, "Generator")


def put(generator: Any, state: Any) -> None:
    """Set one generator to a state that `take` gave."""
    if isinstance(generator, random.Random):
        generator.setstate(state)
    elif isinstance(generator, torch.Generator):
        generator.set_state(state.cpu())
    else:
        import numpy

        if isinstance(generator, numpy.random.RandomState):
            generator.set_state(from_plain(state))
        else:
            generator.bit_generator.state = from_plain(state)
