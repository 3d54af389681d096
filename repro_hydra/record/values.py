"""Results and configs as JSON values: floats keep their bits, NaN and infinities become strings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from repro_hydra.record.schema import JSON

OBJECTIVE = "objective"
_DEEPEST = 100
"""So many mappings within each other; a mapping that holds itself has no end."""
_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def to_json(value: Any) -> JSON:
    """`value` as plain JSON types; what JSON has no type for becomes its text.

    Examples
    --------
    >>> to_json({"loss": float("nan"), "sizes": (1, 2)})
    {'loss': 'NaN', 'sizes': [1, 2]}
    """
    number = as_number(value)
    if number is not None:
        return number_to_json(number)
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Mapping):
        return {_key(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (Sequence, set, frozenset)) and not isinstance(value, (bytes, bytearray)):
        items = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value
        return [to_json(item) for item in items]
    if hasattr(value, "name") and hasattr(value, "value") and not callable(value.name):
        return str(value.name)  # an enum, by the name that OmegaConf reads it back from
    return str(value)


def number_to_json(number: float) -> int | float | str:
    """What `as_number` found, as JSON: NaN and the infinities by name."""
    if isinstance(number, float) and not math.isfinite(number):
        return _name_non_finite(number)
    return number


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    return str(getattr(key, "name", key))


def from_json_number(value: JSON) -> float | None:
    """A recorded number as a float, ``"NaN"`` and the infinities included; None for anything else."""
    if isinstance(value, str):
        return _NON_FINITE.get(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:  # a whole number that no float comes near
        return None


def as_number(value: Any) -> int | float | None:
    """A Python number of what is one: ints, floats, NumPy scalars, tensors and arrays of one element.

    Booleans are no numbers here. Neither torch nor NumPy is imported for it.
    """
    if type(value) is float:
        return value  # most of them
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    inner = _scalar(value)
    if isinstance(inner, bool):
        return None
    if isinstance(inner, (int, float)):
        return inner
    return float(inner) if isinstance(inner, Real) else None  # NumPy's long double has no type of Python's


def _scalar(value: Any) -> Any:
    """What a NumPy scalar, or a tensor or array without dimensions, holds; None for anything else."""
    item = getattr(value, "item", None)
    if item is None or not callable(item) or getattr(value, "ndim", None) != 0:
        return None
    try:
        if getattr(value, "mask", False):  # NumPy's masked arrays: what lies under the mask is no value
            return None
        return item()
    except (TypeError, ValueError, RuntimeError):  # a tensor without data (meta device)
        return None


def _name_non_finite(number: float) -> str:
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def flatten_result(value: Any) -> tuple[dict[str, JSON], list[str]]:
    """What a task returned, as the flat mapping of ``result.json``.

    Parameters
    ----------
    value : Any
        A number, a sequence of numbers, a mapping (nested mappings join their keys by dots), or None.

    Returns
    -------
    metrics : dict
        Name to number, string, boolean or null.
    left_out : list of str
        What has no place in it, each with its reason.

    Examples
    --------
    >>> flatten_result({"test": {"accuracy": 0.5}, "epochs": 3})
    ({'test.accuracy': 0.5, 'epochs': 3}, [])
    """
    metrics: dict[str, JSON] = {}
    left_out: list[str] = []
    if value is None:
        return metrics, left_out
    if isinstance(value, Mapping):
        _flatten_into(metrics, left_out, "", value, _DEEPEST)
    else:
        _add(metrics, left_out, OBJECTIVE, value, _DEEPEST)
    return metrics, left_out


def _flatten_into(
    metrics: dict[str, JSON], left_out: list[str], prefix: str, mapping: Mapping[Any, Any], levels: int
) -> None:
    for key, item in mapping.items():
        _add(metrics, left_out, f"{prefix}{_key(key)}", item, levels)


def _add(metrics: dict[str, JSON], left_out: list[str], name: str, item: Any, levels: int) -> None:
    if isinstance(item, Mapping):
        if levels == 0:
            top = name.partition(".")[0]
            left_out.append(f"{top}: mappings nested more than {_DEEPEST} deep, or one that holds itself")
        else:
            _flatten_into(metrics, left_out, f"{name}.", item, levels - 1)
        return
    sequence = _as_sequence(item)
    if sequence is not None:
        numbers = [as_number(element) for element in sequence]
        if any(number is None for number in numbers):
            left_out.append(f"{name}: a sequence that holds other things than numbers")
        else:
            for position, number in enumerate(numbers):
                _put(metrics, left_out, f"{name}_{position}", to_json(number))
    elif as_number(item) is not None or item is None or isinstance(item, (bool, str)):
        _put(metrics, left_out, name, to_json(item))
    elif isinstance(truth := _scalar(item), bool):
        _put(metrics, left_out, name, truth)
    else:
        left_out.append(f"{name}: {type(item).__name__} is no number, mapping or sequence of numbers")


def _put(metrics: dict[str, JSON], left_out: list[str], name: str, value: JSON) -> None:
    if isinstance(value, int) and from_json_number(value) is None and not isinstance(value, bool):
        left_out.append(f"{name}: a whole number beyond what a float reaches, which few readers of JSON take")
    elif name in metrics:
        left_out.append(f"{name}: two values have this name; the first is kept")
    else:
        metrics[name] = value


def _as_sequence(item: Any) -> Sequence[Any] | None:
    """A list, a tuple, or a one-dimensional array or tensor as a sequence; else None."""
    if isinstance(item, (str, bytes, bytearray)) or as_number(item) is not None:
        return None
    if isinstance(item, Sequence):
        return item
    tolist = getattr(item, "tolist", None)
    if callable(tolist) and getattr(item, "ndim", None) == 1:
        try:
            listed = tolist()
        except (TypeError, ValueError, RuntimeError):  # a tensor without data (meta device)
            return None
        return listed if isinstance(listed, list) else None
    return None
