"""Digests of tensors that lie in a device's memory, made there: only eight bytes of each come to the host, and late.

The bytes are 32-bit words x_i. Their digest is the sum of x_i · w_i modulo 2⁶⁴, with fixed random odd numbers w_i: sums
of whole numbers come out the same in whatever order a device adds. A changed word always changes the sum; several that
change by accident leave it as it was in one case of 2⁶³ (multilinear hashing: Lemire & Kaser, arXiv 1202.4961).

Each call of torch costs the host some microseconds, however little the device has to do; so there are few.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

Part: TypeAlias = tuple[Any, int, int]
"""A contiguous tensor, and which of its bytes: offset and length."""
_MOST_WORDS = 2 << 20
_CHAIN = 0x2545F4914F6CDD1D  # odd
_weights: dict[Any, Any] = {}


def words_of(parts: Sequence[Part]) -> list[Any]:
    """The parts' bytes as tensors of whole numbers, one dimension each; where they lie, as far as that can be.

    Parameters
    ----------
    parts : sequence of (tensor, offset, length)
        On one device.
    """
    torch = sys.modules["torch"]
    found = []
    with torch.no_grad():
        for tensor, offset, length in parts:
            size = tensor.element_size()
            flat = tensor.reshape(-1)
            if size == 4:  # as most are
                words = flat.view(torch.int32)
                whole = length == 4 * words.numel()
                found.append(words if whole else words[offset // 4 : (offset + length) // 4])
                continue
            data = flat.view(torch.uint8)[offset : offset + length]
            # An odd number of half-precision numbers is no number of words.
            odd = length % 4 or data.storage_offset() % 4
            found.append(data.to(torch.int32) if odd else data.view(torch.int32))
    return found


def copy_of(parts: Sequence[Part]) -> Any:
    """The same in one tensor of its own, which stays as it is whatever becomes of the parts."""
    words = words_of(parts)
    return words[0].clone() if len(words) == 1 else sys.modules["torch"].cat(words)


def device_digests(groups: Sequence[Sequence[Any]]) -> list[Any]:
    """For each group of words, all on one device, a tensor of one int64 there; nothing waits for the device."""
    sizes = [sum(words.numel() for words in group) for group in groups]
    if len(groups) < 2 or sum(sizes) > _MOST_WORDS:
        return [_digest(group) for group in groups]
    torch = sys.modules["torch"]
    with torch.no_grad():  # what `_digest` does, for all of them at once
        joined = torch.cat([words for group in groups for words in group])
        weights = _weights_on(joined.device, max(sizes))
        products = joined * torch.cat([weights[:size] for size in sizes])
        return [part.sum() for part in products.split(sizes)]


def _digest(words: Sequence[Any]) -> Any:
    torch = sys.modules["torch"]
    digest: Any = None
    with torch.no_grad():
        for chunk in _chunks(torch, words):
            found = (chunk * _weights_on(chunk.device, chunk.numel())).sum()
            digest = found if digest is None else digest * _CHAIN + found
    return digest


def _chunks(torch: Any, words: Sequence[Any]) -> Iterator[Any]:
    """Few words at a time: no second copy of a model is made."""
    waiting: list[Any] = []
    count = 0
    for given in words:
        for piece in given.split(_MOST_WORDS) if given.numel() > _MOST_WORDS else (given,):
            size = piece.numel()
            if count + size > _MOST_WORDS:
                yield _joined(torch, waiting)
                waiting, count = [], 0
            waiting.append(piece)
            count += size
    if waiting:
        yield _joined(torch, waiting)


def _joined(torch: Any, words: list[Any]) -> Any:
    return words[0] if len(words) == 1 else torch.cat(words)


def _weights_on(device: Any, count: int) -> Any:
    made = _weights.get(device)
    if made is None or made.numel() < count:
        import numpy

        size = 1 << max(count - 1, 1).bit_length()
        raw = numpy.random.Philox(key=20).random_raw(size) | numpy.uint64(1)
        made = _weights[device] = sys.modules["torch"].from_numpy(raw.view(numpy.int64)).to(device)
    return made[:count]
