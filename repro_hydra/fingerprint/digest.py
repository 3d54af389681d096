"""Digests of values: of their bytes where they lie in memory, by XXH3 (64 bits).

XXH3 is no cryptographic hash: it tells values apart that differ by accident, not by design. It is three times as fast
as BLAKE3 in one thread (https://xxhash.com). Digests are chained: each is the next one's seed.
"""

from __future__ import annotations

import ctypes
import dataclasses
import struct
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeGuard

from xxhash import xxh3_64_intdigest

START = 0
_WINDOWS = 16
"""A value that is not read whole is read in so many places,"""
_ALIGNED = 16
"""each of which begins at a multiple of so many bytes."""


class NoDigest(TypeError):
    """A value that has no digest; the text says which and why."""


def shown(digest: int) -> str:
    """As it stands in the record: 16 hexadecimal digits."""
    return f"{digest:016x}"


def mixed(digest: int, data: Any) -> int:
    """`digest`, and then the bytes of `data` (whatever has a buffer)."""
    return xxh3_64_intdigest(data, digest)


def mixed_value(digest: int, value: Any, *, most_bytes: int | None = None, where: str = "value") -> int:
    """`digest`, and then a value of any depth: arrays, tensors, numbers, text, and what is made of these.

    Parameters
    ----------
    most_bytes : int, optional
        Of an array larger than this, so many bytes are read, in places spread over it; None reads all of it.
    where : str
        What an error calls the value.

    Raises
    ------
    NoDigest
        For anything else: its bytes would say nothing of its value.
    """
    if is_tensor(value):
        return _mixed_tensor(digest, value, most_bytes, where)
    if value is None or isinstance(value, (bool, int, str)):
        return mixed(digest, f"{type(value).__name__}:{value}".encode("utf-8", "surrogatepass"))
    if isinstance(value, float):
        return mixed(digest, struct.pack("<d", value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return mixed(digest, value)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
        return _mixed_array(digest, numpy.asarray(value), most_bytes, where)
    if isinstance(value, Mapping):
        for key, item in value.items():
            digest = mixed_value(
                mixed(digest, f"{key}:".encode()), item, most_bytes=most_bytes, where=f"{where}.{key}"
            )
        return mixed(digest, f"mapping of {len(value)}".encode())
    if isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            digest = mixed_value(digest, item, most_bytes=most_bytes, where=f"{where}.{number}")
        return mixed(digest, f"sequence of {len(value)}".encode())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return mixed_value(digest, fields, most_bytes=most_bytes, where=where)
    if numpy is not None and (
        hasattr(value, "__array__") or hasattr(value, "__dlpack__")
    ):  # JAX, TensorFlow, …
        return _mixed_array(digest, numpy.asarray(value), most_bytes, where)
    raise NoDigest(
        f"{where}: expected an array, a tensor, a number, text, or a list or mapping of these, found "
        f"{type(value).__name__}"
    )


def mixed_type(digest: int, value: Any) -> int:
    """`digest`, and then only of what type a value is: all that can be told of what has no digest."""
    return mixed(digest, type(value).__qualname__.encode())


def is_tensor(value: Any) -> TypeGuard[Any]:
    """Whether it is a tensor of torch, which nothing can be before torch is imported."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def view(address: int, length: int) -> Any:
    """`length` bytes of memory, as they lie. Whoever owns them must outlive the view."""
    return (ctypes.c_char * length).from_address(address)


def plain(tensor: Any) -> Any:
    """The tensor whose memory is its value: contiguous, its own part where several processes share it.

    Raises
    ------
    NoDigest
        It has no such memory: a quantized, a symbolic, a wrapped one, or one whose storage was let go.
    """
    try:
        own = _plain(tensor)
        # Memory that a tensor names and does not have is not to be read: it would end the process.
        if own.nbytes:
            storage = own.untyped_storage()
            end = own.storage_offset() * own.element_size() + own.nbytes
            if own.is_meta or storage.nbytes() < end or (own.is_cpu and not storage.data_ptr()):
                raise NoDigest(f"{type(tensor).__name__}: a tensor whose memory is not there")
    except (RuntimeError, NotImplementedError, ValueError) as error:  # of functorch, nested, lazy, …
        raise NoDigest(f"{type(tensor).__name__}: {error}") from None
    return own


def _plain(tensor: Any) -> Any:
    torch: Any = sys.modules["torch"]
    kind = type(tensor)
    if kind is not torch.Tensor and kind is not torch.nn.Parameter:
        local = getattr(tensor, "to_local", None)  # a DTensor
        if local is not None:
            return _plain(local())
        if kind.__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
            raise NoDigest(f"{kind.__name__}: a tensor without plain memory of its own")
    if tensor.is_quantized:
        raise NoDigest(f"{tensor.dtype}: a quantized tensor, whose scale is not among its bytes")
    if tensor.layout is torch.strided and tensor.is_contiguous() and not tensor.is_complex():
        return tensor
    if tensor.layout is not torch.strided:
        return _plain(tensor.detach().to_dense())
    if tensor.is_conj() or tensor.is_neg():
        tensor = tensor.detach().resolve_conj().resolve_neg()
    return tensor if tensor.is_contiguous() else _plain(tensor.detach().contiguous())


def _mixed_tensor(digest: int, tensor: Any, most_bytes: int | None, where: str) -> int:
    try:
        own = plain(tensor)
        own = own if own.is_cpu else plain(own.detach().cpu())
        digest = mixed(digest, _header(own.dtype, own.shape))
    except NoDigest as error:
        raise NoDigest(f"{where}: {error}") from None
    return mixed_memory(digest, own.data_ptr(), own.nbytes, most_bytes)


@lru_cache(maxsize=256)
def _header(dtype: Any, shape: Any) -> bytes:
    """What sets arrays of the same bytes apart."""
    return f"{dtype}{tuple(shape)}".removeprefix("torch.").encode()


def _mixed_array(digest: int, array: Any, most_bytes: int | None, where: str) -> int:
    if array.dtype.hasobject:
        raise NoDigest(f"{where}: expected an array of numbers, found one of Python objects ({array.dtype})")
    array = array if array.flags.c_contiguous else array.copy(order="C")
    digest = mixed(digest, _header(array.dtype, array.shape))
    return mixed_memory(digest, array.ctypes.data, array.nbytes, most_bytes)


def mixed_memory(digest: int, address: int, length: int, most_bytes: int | None = None) -> int:
    """`digest`, and then the bytes at `address`: all, or `most_bytes` of them in places spread over the whole."""
    for start, window in windows(length, most_bytes):
        digest = mixed(digest, view(address + start, window))
    return digest


def windows(length: int, most_bytes: int | None) -> list[tuple[int, int]]:
    """Where to read in `length` bytes, as (start, length): everywhere, or in places spread over the whole."""
    if length == 0:
        return []
    if most_bytes is None or length <= most_bytes:
        return [(0, length)]
    window = most_bytes // _WINDOWS
    return [((length - window) * number // (_WINDOWS - 1) & -_ALIGNED, window) for number in range(_WINDOWS)]
