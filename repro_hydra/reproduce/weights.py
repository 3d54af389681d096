"""Weights of two runs, tensor by tensor: nothing that is loaded here can run code.

``.pt`` by ``torch.load(weights_only=True)`` alone (never without it), ``.npz`` and ``.npy`` without pickles,
``.safetensors`` where that library is there.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro_hydra.reproduce.results import Tolerance

SUFFIXES = (".pt", ".pth", ".ckpt", ".npz", ".npy", ".safetensors")
_SAFE_TORCH = (2, 10)
"""Ways around `weights_only` were mended in 2.6.0 and 2.10.0."""


class CannotLoad(Exception):
    """The file holds no tensors that could be read safely; the text is the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorsCompared:
    """What came of comparing the tensors in two files."""

    tensors: int
    equal: bool
    """Every tensor has the same bits (NaN is NaN), and all other content is the same."""
    within: bool
    detail: str = ""
    """The first tensor that differs."""


def compare_weights(original: Path, reproduced: Path, tolerance: Tolerance) -> TensorsCompared:
    """Two files of weights.

    Raises
    ------
    CannotLoad
        One of them holds something else than tensors and plain values.
    """
    before, after = load_tensors(original), load_tensors(reproduced)
    tensors, equal, within, detail = 0, True, True, ""
    for name in sorted({*before, *after}):
        if name not in before or name not in after:
            where = "only in the reproduction" if name not in before else "only in the original"
            equal = within = False
            detail = detail or f"{name}: {where}"
            continue
        a, b = before[name], after[name]
        if not _is_array(a) or not _is_array(b):
            same = type(a) is type(b) and (a == b or (a != a and b != b))
            equal, within = equal and same, within and same
            detail = detail or ("" if same else f"{name}: {a!r} and {b!r}")
            continue
        tensors += 1
        difference = _differ(a, b, tolerance)
        if difference is not None:
            equal = False
            within = within and difference[0]
            detail = detail or f"{name}: {difference[1]}"
    return TensorsCompared(tensors=tensors, equal=equal, within=within, detail=detail)


def load_tensors(path: Path) -> dict[str, Any]:
    """Dotted name to array or plain value.

    Raises
    ------
    CannotLoad
    """
    try:
        if path.suffix in (".npz", ".npy"):
            return _load_numpy(path)
        if path.suffix == ".safetensors":
            return _load_safetensors(path)
        return _load_torch(path)
    except CannotLoad:
        raise
    except Exception as error:  # noqa: BLE001 (a stranger's file: whatever its reader raises)
        reason = (str(error).splitlines() or [""])[0]
        raise CannotLoad(
            f"{path.name} cannot be read safely ({type(error).__name__}: {reason[:200]})"
        ) from None


def _load_numpy(path: Path) -> dict[str, Any]:
    import numpy as np

    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return {"array": loaded}
    with loaded:
        return {name: loaded[name] for name in loaded.files}


def _load_safetensors(path: Path) -> dict[str, Any]:
    try:
        from safetensors.numpy import load_file  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise CannotLoad(f"{path.name}: safetensors is not installed") from None
    return dict(load_file(path))


def _load_torch(path: Path) -> dict[str, Any]:
    import torch

    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2] if part.isdigit())
    if version < _SAFE_TORCH:
        warnings.warn(f"torch {torch.__version__}: weights_only has known holes before 2.10", stacklevel=2)
    # mmap=False: the file is not to change under the comparison.
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    found: dict[str, Any] = {}
    _flatten(loaded, "", found)
    return found


def _flatten(value: Any, name: str, found: dict[str, Any]) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            _flatten(item, f"{name}.{key}" if name else str(key), found)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _flatten(item, f"{name}.{index}" if name else str(index), found)
    elif hasattr(value, "detach"):
        found[name or "tensor"] = _as_array(value)
    else:
        found[name or "value"] = value


def _as_array(tensor: Any) -> Any:
    import torch

    plain = tensor.detach()
    if plain.layout != torch.strided:
        plain = plain.to_dense()
    if plain.is_quantized:
        plain = plain.dequantize()
    if plain.dtype is torch.bfloat16 or "float8" in str(plain.dtype):
        return (
            plain.float().resolve_conj().resolve_neg().contiguous().numpy()
        )  # exact: float32 holds them all
    return plain.resolve_conj().resolve_neg().contiguous().numpy()


def _is_array(value: Any) -> bool:
    return hasattr(value, "dtype") and hasattr(value, "shape")


def _differ(a: Any, b: Any, tolerance: Tolerance) -> tuple[bool, str] | None:
    """None for the same bits; else whether it is within tolerance, and what differs."""
    import numpy as np

    if a.shape != b.shape or a.dtype != b.dtype:
        return False, f"{a.dtype}{list(a.shape)} and {b.dtype}{list(b.shape)}"
    if a.tobytes() == b.tobytes():
        return None
    if a.dtype.kind not in "fc":
        count = int(np.count_nonzero(a != b))
        return False, f"{count} of {a.size} values differ"
    nan = np.isnan(a) & np.isnan(b)
    # Signed zeros differ in their bits, as do NaNs, of which only the first counts.
    unequal = ((a != b) | ((a == 0) & (np.signbit(a.real) != np.signbit(b.real)))) & ~nan
    count = int(np.count_nonzero(unequal))
    if count == 0:
        return None
    within = bool(np.allclose(b, a, rtol=tolerance.rtol, atol=tolerance.atol, equal_nan=True))
    with np.errstate(invalid="ignore"):
        largest = float(np.nanmax(np.abs(a - b)))
    told = f"{largest:.3g}" if math.isfinite(largest) else "not finite"
    return within, f"{count} of {a.size} values differ, largest difference {told}"
