"""``repro-hydra list``: the runs below some folders, newest first."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from repro_hydra.cli.errors import UserError
from repro_hydra.cli.list_table import DAMAGED, table_of
from repro_hydra.cli.output import default_roots, folders, now, print_json
from repro_hydra.record.find import RunHead
from repro_hydra.record.index import Entry, RecordIndex
from repro_hydra.record.index_file import without_collector
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.run_values import RUN_FIELDS, SCALARS, RunValues, is_name
from repro_hydra.record.schema import JSON, RunRecord
from repro_hydra.record.store import RecordError, read
from repro_hydra.record.values import from_json_number
from repro_hydra.record.where import Where, WhereError, parse_where
from repro_hydra.sweep.configuration import file_leaves, flatten
from repro_hydra.sweep.table import clean

SORT_KEYS = ("created_at", "started_at", "name", "seed", "status", "duration_s")
"""What every run can be sorted by; metrics and every other recorded value come on top."""

_TIMES = ("created_at", "started_at")


def list_runs(
    roots: Sequence[Path],
    *,
    where: Where | None = None,
    sort: str = "created_at",
    reverse: bool = False,
    limit: int | None = None,
    columns: Sequence[str] = (),
    index: RecordIndex | None = None,
) -> list[dict[str, JSON]]:
    """The runs below `roots`, as `repro-hydra list --json` has them.

    Parameters
    ----------
    roots : sequence of Path
        Folders; every run below them is found.
    where : Where, optional
        Which of them; damaged records are told all the same.
    sort : str
        One of `SORT_KEYS`, a metric, or any recorded value by its name: ``config.KEY``, ``code.commit``. Times put
        the newest first, the rest the smallest; what has no such value comes last, and damaged records after that.
    reverse : bool
        The other way round, with those that have no value still last.
    limit : int, optional
        How many to keep, after sorting.
    columns : sequence of str
        Recorded values that each item gets as ``values``.
    index : RecordIndex, optional
        Where what was read is kept for the next time.

    Raises
    ------
    UserError
        Nothing can be sorted by `sort`, no run has what `where` asks for, or none has one of `columns`.
    """
    index = index or RecordIndex()
    with without_collector():
        entries = list(index.runs(roots))
    found = _Listing(index, entries)
    if where is not None:
        found.select(where)
    found.sort(sort, reverse=reverse)
    listed = found.documents(limit, columns)
    index.save()
    return listed


class _Listing:
    """The records that were found, and what of them is asked for."""

    def __init__(self, index: RecordIndex, entries: Sequence[Entry]) -> None:
        self._index = index
        self._runs = [entry for entry in entries if entry.head is not None]
        self._damaged = sorted((e for e in entries if e.head is None), key=lambda entry: entry.dir)
        self._statuses: dict[str, str] = {}

    def values(self, entry: Entry, *, config: bool) -> RunValues:
        assert entry.head is not None
        fields = {name: getattr(entry.head, name) for name in RUN_FIELDS}
        return RunValues(
            {**fields, "status": self.status(entry), "dir": entry.dir},
            flatten(self._index.config(entry)) if config else {},
            entry.result or {},
            partial(file_leaves, entry.dir),
        )

    def status(self, entry: Entry) -> str:
        """As it is shown: a run whose process is gone is not running."""
        assert entry.head is not None
        status = entry.head.status
        if status not in ("created", "running"):
            return status
        if entry.dir not in self._statuses:
            from repro_hydra.record.status import shown_status  # brings psutil

            try:
                run = read(RunPaths(Path(entry.dir)).run, RunRecord)
                self._statuses[entry.dir] = shown_status(run, host=platform.node(), now=now())
            except RecordError as error:
                entry.problem = str(error)
                return status
        return self._statuses[entry.dir]

    def select(self, where: Where) -> None:
        kept = []
        missing = set(where.unknown_names([]))
        with_config = any(name.startswith("config.") for name in where.names)
        for entry in self._runs:
            values = self.values(entry, config=with_config)
            if missing:
                missing &= set(where.unknown_names([values]))
            if where.selects(values):
                kept.append(entry)
        if self._runs and missing:
            names = ", ".join(name for name in where.names if name in missing)
            raise UserError(f"--where {where.text!r}: none of the {len(self._runs)} runs has {names}")
        self._runs = kept

    def sort(self, by: str, *, reverse: bool) -> None:
        newest = by in _TIMES
        self._runs.sort(key=lambda entry: (_head(entry).created_at, entry.dir), reverse=True)
        if by == "created_at" and not reverse:
            return
        values = self._values_of(by)
        if values is None:
            metrics = sorted({key for entry in self._runs for key in entry.result or {}})
            expected = ", ".join([*SORT_KEYS, *metrics])
            raise UserError(
                f"--sort: expected one of {expected}, or a recorded value such as config.KEY, found {by!r}"
            )
        descending = newest is not reverse
        self._runs.sort(
            key=lambda entry: _sort_key(values[entry.dir], descending=descending), reverse=descending
        )

    def _values_of(self, name: str) -> dict[str, JSON] | None:
        """The value called `name` of each run; None where it is the name of nothing that a run has."""
        if not is_name(name):
            if self._runs and not any(name in (entry.result or {}) for entry in self._runs):
                return None
            return {entry.dir: (entry.result or {}).get(name) for entry in self._runs}
        with_config = name.startswith("config.")
        values = {entry.dir: self.values(entry, config=with_config).get(name) for entry in self._runs}
        nothing = bool(values) and all(value is None for value in values.values())
        return None if nothing and name not in SCALARS else values

    def documents(self, limit: int | None, columns: Sequence[str]) -> list[dict[str, JSON]]:
        runs = self._runs[:limit]
        shown = {name: self._values_of(name) for name in columns}
        unknown = [name for name, values in shown.items() if values is None]
        if unknown:
            raise UserError(f"--columns: none of the {len(self._runs)} runs has {', '.join(unknown)}")
        listed = []
        for entry in runs:
            document = _document(
                entry.dir, entry.head, entry.problem, status=self.status(entry), result=entry.result
            )
            document["problem"] = entry.problem  # asking for the status may have found one
            if columns:
                document["values"] = {name: (values or {})[entry.dir] for name, values in shown.items()}
            listed.append(document)
        return [*listed, *(_document(e.dir, None, e.problem) for e in self._damaged)][:limit]


def _head(entry: Entry) -> RunHead:
    assert entry.head is not None
    return entry.head


def _sort_key(value: JSON, *, descending: bool = False) -> tuple[bool, int, float, str]:
    """Numbers before words before nothing; `descending` when the order is going to be reversed."""
    absent = value is None
    number = from_json_number(value)
    if number is None or number != number:  # NaN has no order
        return absent is not descending, 1 - descending, 0.0, "" if absent else str(value)
    return descending, int(descending), number, ""


def _document(
    directory: str,
    head: RunHead | None,
    problem: str | None,
    *,
    status: str = DAMAGED,
    result: dict[str, JSON] | None = None,
) -> dict[str, JSON]:
    return {
        "run_id": head.run_id if head else None,
        "dir": directory,
        "name": head.name if head else None,
        "tags": head.tags if head else [],
        "mode": head.mode if head else None,
        "status": status,
        "upheld": head.upheld if head else None,
        "seed": head.seed if head else None,
        "started_at": head.started_at if head else None,
        "duration_s": head.duration_s if head else None,
        "result": result or {},
        "problem": problem,
    }


def run(
    roots: list[Path],
    *,
    where: str | None,
    sort: str,
    reverse: bool = False,
    limit: int | None,
    columns: Sequence[str] = (),
    json: bool,
) -> None:
    """The command."""
    try:
        selection = None if where is None else parse_where(where)
    except WhereError as error:
        raise UserError(str(error)) from None
    chosen = folders(roots) if roots else default_roots()
    listed = list_runs(chosen, where=selection, sort=sort, reverse=reverse, limit=limit, columns=columns)
    if json:
        print_json(listed)
        return
    if listed:
        sys.stdout.write(table_of(listed, columns))
        sys.stdout.flush()
    elif selection is not None and list_runs(chosen, limit=1):
        print(f"No run for which this holds: {selection.text}", file=sys.stderr)
    else:
        places = ", ".join(map(str, chosen)) or "outputs/ and multirun/ of this folder"
        print(
            f"No runs with a record below {places}. Make one: python train.py +repro=strict", file=sys.stderr
        )
    for item in listed:
        if item["problem"] is not None:
            print(f"{DAMAGED}: {clean(item['problem'])}", file=sys.stderr)
