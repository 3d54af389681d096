"""What an operator of torch is given, gives and writes into, and what it draws from."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from repro_hydra.fingerprint.digest import (
    START,
    NoDigest,
    is_tensor,
    mixed_type,
    mixed_value,
    shown,
)


def names_in(module: Any) -> dict[int, str]:
    """Of each module within `module`, by its id."""
    return {id(inner): name for name, inner in module.named_modules()}


def outputs_of(func: Any, args: Any, kwargs: Any, result: Any) -> list[Any]:
    """What an operator returned, and what it wrote into."""
    found = list(result) if isinstance(result, (list, tuple)) else [result]
    found += written_into(func, args, kwargs)
    return [value for value in {id(value): value for value in flat(found)}.values() if value is not None]


def written_into(func: Any, args: Any, kwargs: Any) -> Iterator[Any]:
    """What the schema of `func` says that it changes."""
    schema = getattr(func, "_schema", None)  # one that takes functions has none
    for number, argument in enumerate([] if schema is None else schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            yield args[number] if number < len(args) else kwargs.get(argument.name)


def flat(values: Any) -> Iterator[Any]:
    """Each value, out of lists and tuples however nested."""
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from flat(value)
        else:
            yield value


def digest_of(value: Any) -> str:
    """What has no digest counts by its type."""
    try:
        return shown(mixed_value(START, value))
    except (NoDigest, RuntimeError):  # a nested tensor raises whatever it is asked
        return shown(mixed_type(START, value))


def generator_of(args: Any, kwargs: Any) -> str:
    """A digest of the state of what an operator draws from."""
    torch: Any = sys.modules["torch"]
    given = next((v for v in (*args, *kwargs.values()) if isinstance(v, torch.Generator)), None)
    if given is None:
        tensor = next((value for value in args if is_tensor(value)), None)
        device = kwargs.get("device") if tensor is None else tensor.device
        cuda = device is not None and torch.device(device).type == "cuda"
        given = (
            torch.cuda.default_generators[torch.cuda.current_device()] if cuda else torch.default_generator
        )
    return shown(mixed_value(START, given.get_state()))
