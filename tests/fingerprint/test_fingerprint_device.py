"""`repro_hydra.fingerprint.device`: the arithmetic, on the host's memory; it is the same on any device of torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from repro_hydra.fingerprint import device
from repro_hydra.fingerprint.device import copy_of, device_digests, words_of

NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def whole(*tensors: Any) -> int:
    parts = [(tensor, 0, tensor.nbytes) for tensor in tensors]
    alone, copied, (beside, _) = (
        device_digests(groups)
        for groups in (
            [words_of(parts)],
            [[copy_of(parts)]],
            [words_of(parts), words_of([(torch.ones(3), 0, 12)])],
        )
    )
    assert int(alone[0]) == int(copied[0]) == int(beside)
    return int(alone[0])


@given(arrays.arrays(np.float32, st.integers(1, 50)), st.data())
def test_one_changed_element_changes_it(array: Any, data: Any) -> None:
    """Any one of them, by any bit; and so does the order of two that differ."""
    changed = array.copy()
    words = changed.view(np.uint32)
    place = data.draw(st.integers(0, len(array) - 1))
    words[place] ^= np.uint32(1 << data.draw(st.integers(0, 31)))
    assert whole(torch.from_numpy(changed)) != whole(torch.from_numpy(array))
    swapped = changed[::-1].copy()
    if swapped.tobytes() != changed.tobytes():
        assert whole(torch.from_numpy(swapped)) != whole(torch.from_numpy(changed))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.int64, torch.bool, torch.uint8])
def test_every_type_and_length_is_read_to_its_end(dtype: torch.dtype) -> None:
    """Also an odd number of halves, which is no number of words."""
    for count in (1, 2, 3, 7, 8, 101):
        tensor = (torch.arange(count) % 2).to(dtype)
        other = tensor.clone()
        other[-1] = 1 - other[-1] if dtype is not torch.bool else ~other[-1]
        assert whole(tensor) == whole(tensor.clone()) != whole(other)


def test_it_is_the_sum_that_the_docstring_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Held against Python's whole numbers; cut into chunks, it chains theirs."""
    weights = [int(weight) for weight in device._weights_on(torch.device("cpu"), 10)]
    assert all(weight % 2 for weight in weights)
    words = torch.tensor([5, -7, 2**31 - 1, -(2**31), 0, 1, 2, 3, 4, 5], dtype=torch.int32)
    assert whole(words) % 2**64 == sum(int(x) * w for x, w in zip(words, weights, strict=True)) % 2**64
    monkeypatch.setattr(device, "_MOST_WORDS", 8)
    chunks = [sum(int(x) * w for x, w in zip(part, weights, strict=False)) for part in (words[:8], words[8:])]
    assert whole(words) % 2**64 == (chunks[0] * device._CHAIN + chunks[1]) % 2**64


@NEEDS_GPU
def test_a_gpu_gives_the_number_of_the_host() -> None:
    """Bit for bit, also where it adds in parallel."""
    tensor = torch.randn(3_000_001)
    assert whole(tensor.cuda()) == whole(tensor)
