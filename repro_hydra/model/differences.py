"""The first difference between two nests of tensors, arrays and numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstDifference:
    """Where two computations parted."""

    step: int
    """From 0."""
    stage: str
    """``batch``, ``output``, ``training output``, ``loss``, ``gradient``, ``weights`` or ``buffers``."""
    tensor: str
    """Its name in that stage; empty where there is but one."""
    max_abs: float | None = None
    max_rel: float | None = None
    differing: int | None = None
    elements: int | None = None
    detail: str = ""
    """What differs, where it is no number."""

    def __str__(self) -> str:
        where = f"step {self.step}, {self.stage}{f' {self.tensor}' if self.tensor else ''}"
        if self.max_abs is None:
            return f"{where}: {self.detail}"
        return (
            f"{where}: {self.differing} of {self.elements} values differ, by {self.max_abs:.3g} at most "
            f"(relative {self.max_rel:.3g})"
        )


def compare_trees(a: Any, b: Any, step: int, stage: str, rtol: float, atol: float) -> FirstDifference | None:
    """The first difference beyond the tolerances; with both 0 any other bit is one."""
    left, right = dict(_leaves(a)), dict(_leaves(b))
    if left.keys() != right.keys():
        names = sorted(left.keys() ^ right.keys())
        return FirstDifference(step=step, stage=stage, tensor=names[0], detail="there one time only")
    for name, value in left.items():
        found = _compare(value, right[name], rtol, atol)
        if found is not None:
            return FirstDifference(step=step, stage=stage, tensor=name, **found)
    return None


def holds_something(value: Any) -> bool:
    """Whether there is a value in it that could differ: not in None, nor in an empty mapping."""
    return any(leaf is not None for _, leaf in _leaves(value))


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    items = value.items() if isinstance(value, Mapping) else None
    if isinstance(value, (tuple, list)):
        items = dict(enumerate(value)).items()
    if items is None:
        yield name, value
        return
    for key, item in items:
        yield from _leaves(item, f"{name}.{key}" if name else str(key))


def _compare(a: Any, b: Any, rtol: float, atol: float) -> dict[str, Any] | None:
    left, right = _as_tensor(a), _as_tensor(b)
    if left is None or right is None:
        return None if type(a) is type(b) and bool(a == b) else {"detail": f"{a!r} and {b!r}"}
    if left.shape != right.shape or left.dtype != right.dtype:
        return {"detail": f"{_shape(left)} and {_shape(right)}"}
    unequal = _bits(left) != _bits(right)
    if not bool(unequal.any()):
        return None
    differs = unequal.reshape(left.numel(), -1).any(dim=1)
    wide = torch.complex128 if left.is_complex() else torch.float64
    x, y = left.flatten().to(wide), right.flatten().to(wide)
    if (rtol or atol) and torch.allclose(x, y, rtol=rtol, atol=atol, equal_nan=True):
        return None
    gap = (x - y).abs()[differs].nan_to_num(nan=math.inf)
    relative = gap / y.abs()[differs].clamp(min=torch.finfo(torch.float64).tiny)
    return {
        "max_abs": float(gap.max()),
        "max_rel": float(relative.nan_to_num(nan=math.inf).max()),
        "differing": int(differs.sum()),
        "elements": left.numel(),
    }


def _as_tensor(value: Any) -> torch.Tensor | None:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().to_dense() if value.layout is not torch.strided else value.detach().cpu()
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biufc":
        return torch.from_numpy(np.ascontiguousarray(value))
    if type(value) is float:
        return torch.tensor(value, dtype=torch.float64)
    return None


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return (
        tensor.contiguous().reshape(-1).view(torch.uint8) if tensor.dtype != torch.bool else tensor.flatten()
    )


def _shape(tensor: torch.Tensor) -> str:
    return f"{tuple(tensor.shape)} of {str(tensor.dtype).removeprefix('torch.')}"
