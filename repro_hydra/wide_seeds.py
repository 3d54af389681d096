"""Seeds wider than 32 bits, where a library would quietly cut them off.

``torch.manual_seed`` takes 64 bits, and its generator on the CPU uses the lower 32 (``at::mt19937(uint64_t)``), so the
seeds 5 and 5 + 2**32 give the same numbers. NumPy's legacy generator refuses more than 32 bits as a number, and takes
any length as an array. `random.seed` takes any number, and makes one state of a and a + (a - 1) * 2**32, since
``init_by_array`` adds the key's words and their indices in turn. All are Mersenne twisters, whose state holds more.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from typing import Any

from blake3 import blake3

_32_BITS = 2**32 - 1
_WORDS = 624
_STATE_BYTES = 5056
_HEAD = struct.Struct("<QiiQ")
"""The beginning of ``at::CPUGeneratorImplState``: initial seed, numbers left, seeded, next; then the words."""


def python_key(seed: int) -> int | str:
    """`seed` as ``random.seed`` tells it from every other: as text it is hashed by SHA-512 first."""
    return seed if seed <= _32_BITS else str(seed)


def numpy_words(seed: int) -> int | list[int]:
    """`seed` as ``numpy.random.seed`` takes all of it."""
    if seed <= _32_BITS:
        return seed
    return [(seed >> shift) & _32_BITS for shift in range(0, seed.bit_length(), 32)]


def seed_torch_generator(generator: Any, seed: int) -> None:
    """Have a CPU `generator` begin from all bits of `seed`, which has more than 32.

    The words of its state are BLAKE3's output for the seed, the first one as NumPy sets it (never all zero).
    """
    digest = blake3(seed.to_bytes((seed.bit_length() + 7) // 8, "little")).digest(length=4 * _WORDS)
    set_words(generator, seed % 2**63, [0x80000000, *struct.unpack(f"<{_WORDS}I", digest)[1:]])


def set_words(generator: Any, seed: int, words: Sequence[int]) -> None:
    """Seed `generator`, and then put `words` in the place of those that the seed gave it.

    A torch whose state is laid out otherwise keeps those, as it does for everybody.
    """
    import torch

    generator.manual_seed(seed)
    if generator.get_state().numel() != _STATE_BYTES or sys.byteorder != "little":
        return
    whole = bytearray(_STATE_BYTES)
    _HEAD.pack_into(whole, 0, seed, 1, 1, 0)
    struct.pack_into(f"<{_WORDS}Q", whole, _HEAD.size, *words)
    generator.set_state(torch.frombuffer(whole, dtype=torch.uint8))
