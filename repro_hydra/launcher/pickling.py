"""Pickles that travel between the parent of a sweep and its jobs.

A job's process runs the user's script as ``__main__``, so a class of the script is the same class there. Plain
cloudpickle would send such a class by value: the job would then have two of it, and ``isinstance`` or an enum's
equality would fail in a sweep where it holds in a single run.
"""

from __future__ import annotations

import io
import sys
from types import FunctionType
from typing import Any

import cloudpickle


class _ByReference(cloudpickle.Pickler):  # type: ignore[misc]
    """Sends what ``__main__`` defines by its name."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, (type, FunctionType)) and _is_in_main(obj):
            return getattr, (_Main(), obj.__qualname__)
        return super().reducer_override(obj)


class _Main:
    """Stands for the receiving process's ``__main__``."""

    def __reduce__(self) -> Any:
        return _main_module, ()


def _main_module() -> Any:
    return sys.modules["__main__"]


def _is_in_main(obj: type | FunctionType) -> bool:
    if obj.__module__ != "__main__" or "." in obj.__qualname__:
        return False
    return getattr(sys.modules["__main__"], obj.__qualname__, None) is obj


def dumps(value: Any, *, main_by_reference: bool) -> bytes:
    """Pickle `value`.

    Parameters
    ----------
    main_by_reference : bool
        The receiver has the same ``__main__``: refer to its classes and functions instead of copying them.
    """
    if not main_by_reference:
        return bytes(cloudpickle.dumps(value))
    buffer = io.BytesIO()
    _ByReference(buffer).dump(value)
    return buffer.getvalue()


def refers_to_main(data: bytes) -> bool:
    """Whether only a process with the same ``__main__`` can read this pickle."""
    return _main_module.__name__.encode() in data


def loads(data: bytes) -> Any:
    """Unpickle what `dumps` made in a process of the same sweep; never what came from a record."""
    return cloudpickle.loads(data)
