"""State as plain data: what ``torch.load(weights_only=True)`` reads back, so that a checkpoint cannot run code.

Tensors, numbers, text, lists, tuples and dicts stay as they are. NumPy's arrays and numbers, sets, deques and counters
travel under a tag, since allowing their classes to be unpickled would widen what a file may construct.
"""

from __future__ import annotations

import collections
import sys
from collections.abc import Mapping
from typing import Any

import torch

from repro_hydra.checkpoint.errors import CheckpointError

TAG = "__repro_hydra__"
_AS_IT_IS = (type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, torch.Size)


class NotPlain(CheckpointError):
    """Something that a checkpoint cannot hold, and where it lies."""

    def __init__(self, where: str, value: Any) -> None:
        self.where = where
        kind = type(value)
        super().__init__(
            f"{where}: expected tensors, numbers, text, lists or dicts, found {kind.__module__}.{kind.__qualname__}, "
            "which a checkpoint cannot hold. Leave it out, or give it state_dict() and load_state_dict()"
        )


def to_plain(value: Any, where: str) -> Any:
    """`value` without a type that only code could rebuild.

    Parameters
    ----------
    where : str
        Its name, for the message.

    Raises
    ------
    NotPlain
        For anything else, by its path.
    """
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    if isinstance(value, torch.Tensor):
        return _own_storage(value)
    if isinstance(value, dict):
        return _dict(value, where)
    if kind in (list, tuple):
        return kind(to_plain(item, f"{where}.{i}") for i, item in enumerate(value))
    if kind in (set, frozenset, collections.deque):
        items = [to_plain(item, f"{where}.{i}") for i, item in enumerate(value)]
        return {TAG: kind.__name__, "items": items, "maxlen": getattr(value, "maxlen", None)}
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
        return _array(value, where)
    raise NotPlain(where, value)


def from_plain(value: Any) -> Any:
    """The opposite of `to_plain`."""
    kind = type(value)
    if kind in (list, tuple):
        return kind(from_plain(item) for item in value)
    if not isinstance(value, dict):
        return value
    if TAG in value:
        return _tagged(value)
    back = kind((key, from_plain(item)) for key, item in value.items())
    if hasattr(value, "_metadata"):  # a module's versions, which its load_state_dict looks at
        back._metadata = value._metadata
    return back


def _own_storage(tensor: torch.Tensor) -> torch.Tensor:
    """A view is copied: else the whole storage that it looks into would be written."""
    tensor = tensor.detach()
    if tensor.layout is torch.strided and tensor.device.type != "meta":
        storage = tensor.untyped_storage()
        if storage.nbytes() > tensor.numel() * tensor.element_size():
            return tensor.clone()
    return tensor


def _dict(value: dict[Any, Any], where: str) -> Any:
    if TAG in value:
        raise CheckpointError(f"{where}: the key {TAG!r} is this package's own; choose another")
    for key in value:
        if type(key) not in (str, int, float, bool, tuple, type(None)):
            raise NotPlain(f"{where}: key {key!r}", key)
    plain: Any = ((key, to_plain(item, f"{where}.{key}")) for key, item in value.items())
    if isinstance(value, collections.Counter):
        return {TAG: "Counter", "items": list(plain)}
    if isinstance(value, collections.OrderedDict):
        ordered: Any = collections.OrderedDict(plain)
        metadata = getattr(value, "_metadata", None)
        if metadata is not None:
            ordered._metadata = to_plain(metadata, f"{where}._metadata")
        return ordered
    return dict(plain)


def _array(value: Any, where: str) -> dict[str, Any]:
    import numpy

    array = numpy.ascontiguousarray(value)
    if array.dtype.hasobject or array.dtype.names is not None:
        raise NotPlain(where, value)
    data = torch.frombuffer(bytearray(array.tobytes()), dtype=torch.uint8) if array.nbytes else torch.empty(0)
    return {
        TAG: "scalar" if isinstance(value, numpy.generic) else "array",
        "dtype": array.dtype.str,
        "shape": list(numpy.shape(value)),
        "data": data,
    }


def _tagged(value: Mapping[str, Any]) -> Any:
    kind = value[TAG]
    if kind == "set":
        return {from_plain(item) for item in value["items"]}
    if kind == "frozenset":
        return frozenset(from_plain(item) for item in value["items"])
    if kind == "deque":
        return collections.deque((from_plain(item) for item in value["items"]), maxlen=value["maxlen"])
    if kind == "Counter":
        return collections.Counter({key: from_plain(item) for key, item in value["items"]})
    if kind in ("array", "scalar"):
        import numpy

        array = numpy.frombuffer(
            bytearray(value["data"].numpy().tobytes()), dtype=numpy.dtype(value["dtype"])
        )
        array = array.reshape(value["shape"])
        return array[()] if kind == "scalar" else array
    raise CheckpointError(f"the checkpoint holds a value of the unknown kind {kind!r}")
