"""Digests of tensors that lie in a device's memory, made there: only eight bytes of each come to the host, and late.

The bytes are 32-bit words x_i. Their digest is the sum of x_i · w_i modulo 2⁶⁴, with fixed random odd numbers w_i: sums
of whole numbers come out the same in whatever order a device adds. A changed word always changes the sum; several that
change by accident leave it as it was in one case of 2⁶³ (multilinear hashing: Lemire & Kaser, arXiv 1202.4961).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
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
    words: list[Any] = []
    odd: list[Any] = []
    with torch.no_grad():
        for tensor, offset, length in parts:
            flat = tensor.detach().reshape(-1).view(torch.uint8)[offset : offset + length]
            if length % 4 == 0 and flat.storage_offset() % 4 == 0:
                words.append(flat.view(torch.int32))
            else:  # an odd number of half-precision numbers
                odd.append(flat)
        digest: Any = None
        for kind in (words, odd):
            if kind:
                for chunk in torch.cat(kind).split(_MOST_WORDS):
                    found = (chunk.to(torch.int64) * _weights_on(chunk.device, len(chunk))).sum()
                    digest = found if digest is None else digest * _CHAIN + found
    return digest


def _weights_on(device: Any, count: int) -> Any:
    made = _weights.get(device)
    if made is None or len(made) < count:
        import numpy

        size = 1 << max(count - 1, 1).bit_length()
        raw = numpy.random.Philox(key=20).random_raw(size) | numpy.uint64(1)
        made = _weights[device] = sys.modules["torch"].from_numpy(raw.view(numpy.int64)).to(device)
    return made[:count]
