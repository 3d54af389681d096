"""Digests of tensors that lie in a device's memory, made there: only eight bytes of each come to the host, and late.

The bytes are 32-bit words x_i. Their digest is the sum of x_i · w_i modulo 2⁶⁴, with fixed random odd numbers w_i: sums
of whole numbers come out the same in whatever order a device adds. A changed word always changes the sum; several that
change by accident leave it as it was in one case of 2⁶³ (multilinear hashing: Lemire & Kaser, arXiv 1202.4961).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

_MOST_WORDS = 2 << 20
_CHAIN = 0x2545F4914F6CDD1D  # odd
_weights: dict[Any, Any] = {}


def device_digest(parts: Sequence[tuple[Any, int, int]]) -> Any:
    """A tensor of one int64 on the parts' device; nothing waits for the device.

    Parameters
    ----------
    parts : sequence of (tensor, offset, length)
        Contiguous tensors on one device, and which bytes of each.
    """
    torch = sys.modules["torch"]
    digest: Any = None
    with torch.no_grad():
        for words in _chunks(torch, parts):
            found = (words.to(torch.int64) * _weights_on(words.device, len(words))).sum()
            digest = found if digest is None else digest * _CHAIN + found
    return digest


def _chunks(torch: Any, parts: Sequence[tuple[Any, int, int]]) -> Iterator[Any]:
    """The parts' bytes as whole numbers, few enough at a time: no second copy of a model is made."""
    for odd in (False, True):  # an odd number of half-precision numbers is no number of words
        waiting: list[Any] = []
        count = 0
        for tensor, offset, length in parts:
            flat = tensor.detach().reshape(-1).view(torch.uint8)[offset : offset + length]
            if bool(length % 4 or flat.storage_offset() % 4) is not odd:
                continue
            for piece in (flat if odd else flat.view(torch.int32)).split(_MOST_WORDS):
                if count + len(piece) > _MOST_WORDS:
                    yield torch.cat(waiting)
                    waiting, count = [], 0
                waiting.append(piece)
                count += len(piece)
        if waiting:
            yield torch.cat(waiting)


def _weights_on(device: Any, count: int) -> Any:
    made = _weights.get(device)
    if made is None or len(made) < count:
        import numpy

        size = 1 << max(count - 1, 1).bit_length()
        raw = numpy.random.Philox(key=20).random_raw(size) | numpy.uint64(1)
        made = _weights[device] = sys.modules["torch"].from_numpy(raw.view(numpy.int64)).to(device)
    return made[:count]
