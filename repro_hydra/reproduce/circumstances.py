"""The settings of two runs, held against each other."""

from __future__ import annotations

from collections.abc import Iterator

from repro_hydra.environment.circumstances import Circumstance
from repro_hydra.record.schema import JSON


def differing_settings(a: JSON, b: JSON) -> Iterator[Circumstance]:
    """The settings of ``determinism.json`` as they were in force, at the run's entry or its end."""
    before, after = _settings(a), _settings(b)
    for name in sorted({*before} & {*after}):
        if before[name] != after[name]:
            yield Circumstance("determinism", name, before[name], after[name], "may_change_bits", 18)


def _settings(record: JSON) -> dict[str, JSON]:
    rows = record.get("settings") if isinstance(record, dict) else None
    found = {}
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict) and isinstance(row.get("name"), str):
            value = row.get("exit") if row.get("exit") is not None else row.get("entry")
            if value is not None:
                found[row["name"]] = value
    return found
