"""Which stream each global generator of this process draws from: two ranks with the same one draw the same numbers."""

from __future__ import annotations

import random
import sys
from typing import Any

from blake3 import blake3

from repro_hydra.imports import is_imported

_PYTHON_UNTOUCHED = _NUMPY_UNTOUCHED = 624
"""Where a Mersenne twister stands right after it was seeded."""


def streams_drawn_from() -> dict[str, str]:
    """By library (``python``, ``numpy``, ``torch``, ``cuda``), what tells its stream from others.

    A generator that nobody has drawn from since it was seeded is left out. torch tells the seed that it began with,
    however much was drawn; of the other two only the state is to be had, so that two processes are seen to share a
    stream where they drew equally much from it, as ranks do that run one program.
    """
    found = {"python": _python(), "torch": None, "cuda": None, "numpy": None}
    if is_imported("numpy"):
        found["numpy"] = _numpy(sys.modules["numpy"])
    if is_imported("torch"):
        torch: Any = sys.modules["torch"]
        found["torch"] = _torch(torch)
        if torch.cuda.is_initialized():
            found["cuda"] = _cuda(torch)
    return {library: stream for library, stream in found.items() if stream is not None}


def _python() -> str | None:
    state = random.getstate()
    return None if state[1][-1] == _PYTHON_UNTOUCHED else _digest(repr(state))


def _numpy(numpy: Any) -> str | None:
    state = numpy.random.get_state(legacy=False)
    inner = state["state"]
    if "key" not in inner:  # somebody put another bit generator in its place
        return _digest(repr(state))
    if inner["pos"] == _NUMPY_UNTOUCHED and not state["has_gauss"]:
        return None
    return _digest(f"{inner['key'].tobytes().hex()} {inner['pos']} {state['has_gauss']}")


def _torch(torch: Any) -> str | None:
    # ATen/CPUGeneratorImpl.cpp, CPUGeneratorImplStateLegacy: initial seed, left, seeded, next
    state = bytes(torch.get_rng_state()[:24].tolist())
    left, drawn = int.from_bytes(state[8:12], "little"), int.from_bytes(state[16:24], "little")
    return None if left == 1 and drawn == 0 else str(torch.initial_seed())


def _cuda(torch: Any) -> str | None:
    # ATen/cuda/CUDAGeneratorImpl.cpp, get_state: seed and Philox offset, 8 bytes each. Seen on an H100 with torch 2.11.
    state = bytes(torch.cuda.get_rng_state().tolist())
    return None if not any(state[8:]) else str(torch.cuda.initial_seed())


def _digest(text: str) -> str:
    return blake3(text.encode()).hexdigest(length=16)
