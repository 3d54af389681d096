"""`repro_hydra.fingerprint.digest`: what has one digest, and what must have two."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch._subclasses.fake_tensor import FakeTensorMode

import repro_hydra
from repro_hydra.fingerprint.digest import START, NoDigest, mixed_value, windows


def digest(value: Any, **how: Any) -> int:
    return mixed_value(START, value, **how)


@dataclasses.dataclass
class Batch:
    x: Any
    y: Any


VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2**70, 0.0, -0.0, 1.0, float("nan"), "", "1", "True", b"1", [], [1], [1, 2], [[1], 2],
    {}, {"a": 1}, {"b": 1}, {"a": [1]}, np.zeros(2), np.zeros(2, dtype="f4"), np.zeros((1, 2)), np.zeros((2, 1)),
    np.arange(6).reshape(2, 3), np.arange(6).reshape(2, 3).T, np.arange(6, dtype=">i8").reshape(2, 3),
    torch.zeros(3), torch.zeros(3, dtype=torch.bfloat16), torch.zeros(3, dtype=torch.float16), torch.zeros(1, 3),
    torch.arange(4), torch.arange(4) % 3, torch.zeros(2, dtype=torch.complex64), Batch(1, 2), Batch(1, 3),
]  # fmt: skip


def test_what_differs_has_another_digest() -> None:
    """Values, types and shapes, and how values are grouped."""
    digests = [digest(value) for value in VALUES]
    assert len(set(digests)) == len(VALUES)


def test_the_same_values_have_the_same_digest_however_they_lie() -> None:
    """Strides, and whether gradients are recorded, are no part of a value."""
    array = np.arange(24.0).reshape(4, 6)
    assert digest(array[:, ::2]) == digest(array[:, ::2].copy())
    tensor = torch.arange(24.0).reshape(4, 6)
    assert digest(tensor[:, ::2]) == digest(tensor[:, ::2].clone())
    assert digest(tensor.clone().requires_grad_()) == digest(tensor)
    assert digest(torch.zeros(2, 3, 4, 4).to(memory_format=torch.channels_last)) == digest(
        torch.zeros(2, 3, 4, 4)
    )
    assert digest(tensor.to_sparse()) == digest(tensor)
    complex_ = torch.tensor([1 + 2j, 3 - 1j])
    assert digest(complex_.conj()) == digest(complex_.conj().resolve_conj()) != digest(complex_)
    assert digest(complex_.conj().imag) == digest(
        complex_.conj().imag.clone()
    )  # a view that is lazily negated


def test_it_is_the_same_in_another_process() -> None:
    """Whatever that process's hash seed is."""
    value = "[{'a': numpy.arange(5)}, 'text', 1.5, None]"
    program = f"import numpy, repro_hydra; print(repro_hydra.fingerprint('x', {value}))"
    other = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=True, timeout=120, env={"PYTHONHASHSEED": "77"},
    )  # fmt: skip
    assert other.stdout.strip() == repro_hydra.fingerprint("x", [{"a": np.arange(5)}, "text", 1.5, None])


@given(arrays.arrays(np.float32, st.integers(1, 40)), st.data())
def test_one_changed_element_changes_it(array: Any, data: Any) -> None:
    """Any one of them, by any bit."""
    changed = array.copy()
    place = data.draw(st.integers(0, len(array) - 1))
    changed.view(np.uint32)[place] ^= np.uint32(1 << data.draw(st.integers(0, 31)))
    assert digest(changed) != digest(array)
    assert digest(torch.from_numpy(changed)) != digest(torch.from_numpy(array))


@given(st.integers(0, 10_000_000), st.integers(256, 100_000))
def test_a_large_value_is_read_in_places_from_its_begin_to_its_end(length: int, most: int) -> None:
    """Never beyond it, never more than was allowed, and never less than an eighth of that."""
    read = windows(length, most)
    assert sum(size for _, size in read) <= max(most, 0)
    assert all(start >= 0 and start + size <= length for start, size in read)
    if length > most:
        assert read[0][0] == 0
        assert length - sum(read[-1]) < 16
        assert sum(size for _, size in read) > most // 2


def fake() -> Any:
    with FakeTensorMode():
        return torch.zeros(3)


def let_go(left: int, start: int = 0) -> Any:
    """A tensor of 400 bytes whose storage has so many left, as sharded parameters have between their uses."""
    tensor = torch.ones(100)[start:]
    tensor.untyped_storage().resize_(left)
    return tensor


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (object(), "x: .*found object"),
        ([1, {"a": {1, 2}}], r"x\.1\.a: .*found set"),
        (np.array([object()], dtype=object), "x: .*Python objects"),
        (torch.quantize_per_tensor(torch.zeros(2), 1.0, 0, torch.qint8), "x: "),
        (torch.zeros(2, device="meta"), "x: .*memory is not there"),
        (fake(), "x: .*FakeTensor"),
        (let_go(0), "x: .*memory is not there"),
        (let_go(0, start=50), "x: .*memory is not there"),
        (let_go(40), "x: .*memory is not there"),
        (torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)], layout=torch.jagged), "x: "),
        (torch.nn.parameter.UninitializedParameter(), "x: "),
    ],
)
def test_what_has_no_digest_is_said(value: Any, where: str) -> None:
    """With its place, and what was found there."""
    with pytest.raises(NoDigest, match=where):
        digest(value, where="x")
