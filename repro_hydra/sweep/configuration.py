"""What makes two runs repeats of one another: the same config but for the seed, and but for what follows from it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from repro_hydra.record.paths import RECORD_DIR
from repro_hydra.record.schema import JSON
from repro_hydra.record.store import RecordError, read_raw

Leaves = dict[str, Any]
"""Dotted key to value; a list is one value."""

# Resolvers that answer otherwise for each run of the same configuration.
_OF_THE_RUN = frozenset({"now", "hydra"})
_RESOLVER = re.compile(r"\$\{\s*([A-Za-z_][\w.]*)\s*:")
_REFERENCE = re.compile(r"\$\{\s*(?:oc\.select\s*:\s*)?(\.*[A-Za-z_][\w.\[\]/-]*)\s*(?=[},])")
_NOT_OF_THE_TASK = re.compile(r"hydra(\.|/)|repro$|repro/")


def flatten(config: JSON) -> Leaves:
    """The leaves of a nested config, by dotted key.

    Examples
    --------
    >>> flatten({"optimizer": {"lr": 0.1, "betas": [0.9, 0.999]}, "extra": {}})
    {'optimizer.lr': 0.1, 'optimizer.betas': [0.9, 0.999], 'extra': {}}
    """
    leaves: Leaves = {}
    if isinstance(config, dict):
        _flatten_into(leaves, "", config)
    return leaves


def file_leaves(directory: str, name: str) -> Leaves:
    """The leaves of one of a record's files (``run``, ``code``, …); empty where it left none that can be read."""
    try:
        return flatten(read_raw(Path(directory, RECORD_DIR, f"{name}.json")))
    except RecordError:
        return {}


def _flatten_into(leaves: Leaves, prefix: str, node: Mapping[str, Any]) -> None:
    for key, value in node.items():
        if isinstance(value, dict) and value:
            _flatten_into(leaves, f"{prefix}{key}.", value)
        else:
            leaves[f"{prefix}{key}"] = value


def configuration(resolved: JSON, unresolved: JSON, seed_key: str) -> Leaves:
    """The leaves of `resolved` that make the configuration.

    Left out are the seed and whatever is interpolated from it, from the time or from Hydra's own node: a run's
    name such as ``"lr0.1_seed${seed}"`` does not make each seed a configuration of its own.

    Examples
    --------
    >>> config = {"lr": 0.1, "seed": 3, "name": "seed${seed}", "out": "${name}/x", "copy": "${lr}"}
    >>> configuration({"lr": 0.1, "seed": 3, "name": "seed3", "out": "seed3/x", "copy": 0.1}, config, "seed")
    {'lr': 0.1, 'copy': 0.1}
    """
    of_the_run = {seed_key, *_interpolated_from(flatten(unresolved), seed_key)}
    return {
        key: value
        for key, value in flatten(resolved).items()
        if key not in of_the_run and not any(key.startswith(f"{other}.") for other in of_the_run)
    }


def _interpolated_from(unresolved: Leaves, seed_key: str) -> set[str]:
    """Keys whose value follows from the seed, the time or Hydra's node, directly or through other keys."""
    texts = {key: text for key, value in unresolved.items() if "${" in (text := _text(value))}
    found = {key for key, text in texts.items() if not _OF_THE_RUN.isdisjoint(_RESOLVER.findall(text))}
    references = {
        key: [_absolute(key, name) for name in _REFERENCE.findall(text)] for key, text in texts.items()
    }
    while True:
        sources = {seed_key, *found}
        more = {
            key
            for key, names in references.items()
            if key not in found and any(_overlap(name, source) for name in names for source in sources)
        }
        if not more:
            return found
        found |= more


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode() if isinstance(value, list) else ""


def _absolute(key: str, reference: str) -> str:
    name = reference.lstrip(".")
    levels = len(reference) - len(name)
    if levels == 0:
        return name
    parents = key.split(".")[:-levels]
    return ".".join([*parents, name])


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def narrow(leaves: Leaves, keys: Iterable[str]) -> Leaves:
    """The leaves at or below `keys`."""
    return {
        key: value
        for wanted in keys
        for key, value in leaves.items()
        if key == wanted or key.startswith(f"{wanted}.")
    }


def identity(leaves: Leaves) -> bytes:
    """Equal for equal leaves, whatever their order."""
    return msgspec.json.encode(leaves, order="sorted")


def varying_keys(several: Sequence[Leaves]) -> list[str]:
    """The keys that are not the same in all of `several`, in the order in which they come."""
    if len(several) < 2:
        return []
    keys = dict.fromkeys(key for leaves in several for key in leaves)
    absent = object()
    varying = []
    for key in keys:
        first = several[0].get(key, absent)
        if any(not _same(leaves.get(key, absent), first) for leaves in several):
            varying.append(key)
    return varying


def _same(one: Any, other: Any) -> bool:
    # In Python 1 == 1.0 == True; in a config they are three values.
    return type(one) is type(other) and bool(one == other)


def without_seed(overrides: Iterable[str], seed_key: str) -> tuple[str, ...]:
    """A job's overrides but for the seed's: the configuration of a job that left no config."""
    return tuple(sorted(text for text in overrides if _key(text) != seed_key))


def leaves_of_overrides(overrides: Iterable[str]) -> Leaves:
    """Overrides as a configuration to show, where nothing better is known.

    Examples
    --------
    >>> leaves_of_overrides(["model=conv", "+optimizer.lr=0.1", "hydra.verbose=true"])
    {'model': 'conv', 'optimizer.lr': 0.1}
    """
    leaves: Leaves = {}
    for text in overrides:
        key = _key(text)
        if not _NOT_OF_THE_TASK.match(key):
            leaves[key] = _value(text.partition("=")[2])
    return leaves


def _key(override: str) -> str:
    return override.partition("=")[0].strip().lstrip("+~")


def _value(text: str) -> JSON:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text.strip("'\"")
