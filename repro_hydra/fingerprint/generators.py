"""Digests of the states of the process's random generators, cheap enough for every step."""

from __future__ import annotations

import random
import sys
from typing import Any

from repro_hydra.fingerprint.digest import START, mixed, mixed_value, shown, view
from repro_hydra.record.schema import JSON

_MT19937_BYTES = 624 * 4 + 4
"""numpy/random/src/mt19937/mt19937.h: ``uint32_t key[624]; int pos``."""


class GeneratorDigests:
    """Of one process."""

    def __init__(self) -> None:
        self._bits: Any = None
        self._state: Any = None

    def take(self, *, python: bool = True) -> dict[str, JSON]:
        """By library, a digest of the state of its global generator; CUDA's devices together.

        Parameters
        ----------
        python : bool
            Python's own costs more than all others together (`random.getstate` makes 625 numbers); False leaves it
            out.
        """
        found: dict[str, JSON] = {}
        if python:
            version, numbers, gauss = random.getstate()
            # Python's hash of whole numbers is the same in every process.
            found["python"] = shown(mixed_value(START, [version, hash(numbers), gauss]))
        modules = sys.modules
        if "numpy.random" in modules:
            found["numpy"] = shown(self._numpy(modules["numpy"]))
        torch: Any = modules.get("torch")
        if torch is not None:
            found["torch"] = shown(_mixed_state(START, torch.default_generator.get_state()))
            if torch.cuda.is_initialized():
                digest = START
                for generator in torch.cuda.default_generators:  # their states lie in the host's memory
                    digest = _mixed_state(digest, generator.get_state())
                found["cuda"] = shown(digest)
        return found

    def _numpy(self, numpy: Any) -> int:
        bits = numpy.random.mtrand._rand._bit_generator
        if bits is not self._bits:
            # Its state is read where it lies: asking for it takes longer than all else here.
            twister = type(bits).__name__ == "MT19937"  # else somebody put another bit generator in its place
            self._state = view(bits.ctypes.state_address, _MT19937_BYTES) if twister else None
            self._bits = bits
        return mixed_value(START, bits.state) if self._state is None else mixed(START, self._state)


def _mixed_state(digest: int, state: Any) -> int:
    return mixed(digest, view(state.data_ptr(), state.numel()))
