"""``repro-hydra list``: the runs below some folders, newest first."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro_hydra.cli.errors import UserError
from repro_hydra.cli.output import default_roots, now, print_json, shorten_home
from repro_hydra.record.find import RunHead, read_head, read_result, walk
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.schema import JSON, RunRecord
from repro_hydra.record.status import shown_status
from repro_hydra.record.store import RecordError, read

SORT_KEYS = ("created_at", "name", "seed", "status", "duration_s")


@dataclass(frozen=True, slots=True)
class Listed:
    """The runs to show, and the records that could not be read."""

    runs: list[dict[str, JSON]]
    damaged: list[tuple[str, str]]


def list_runs(roots: list[Path], *, sort: str = "created_at", limit: int | None = None) -> Listed:
    """Read the runs below `roots`.

    Parameters
    ----------
    roots : list of Path
        Folders; every run below them is found.
    sort : str
        One of `SORT_KEYS`. ``created_at`` puts the newest first, the others the smallest.
    limit : int, optional
        How many to keep, after sorting.
    """
    heads: list[tuple[str, RunHead]] = []
    damaged: list[tuple[str, str]] = []
    for located in walk(roots):
        if located.kind == "damaged":
            damaged.append((located.dir, located.problem or "damaged"))
        elif located.kind == "run":
            try:
                heads.append((located.dir, read_head(located.dir)))
            except RecordError as error:
                damaged.append((located.dir, str(error)))
    heads.sort(key=lambda item: _sort_key(item[1], sort), reverse=sort == "created_at")
    runs = []
    for directory, head in heads[:limit]:
        try:
            result: JSON = read_result(directory)
        except RecordError as error:
            damaged.append((directory, str(error)))
            result = None
        runs.append(_document(directory, head, result))
    return Listed(runs, damaged)


def _sort_key(head: RunHead, key: str) -> tuple[bool, str, float, str]:
    value: Any = getattr(head, key)
    number = float(value) if isinstance(value, (int, float)) else 0.0
    return value is None, type(value).__name__ if value is not None else "", number, str(value)


def _document(directory: str, head: RunHead, result: JSON) -> dict[str, JSON]:
    status: str = head.status
    if status in ("created", "running"):
        run = read(RunPaths(Path(directory)).run, RunRecord)
        status = shown_status(run, host=platform.node(), now=now())
    return {
        "run_id": head.run_id,
        "dir": directory,
        "name": head.name,
        "tags": head.tags,
        "mode": head.mode,
        "status": status,
        "upheld": head.upheld,
        "seed": head.seed,
        "started_at": head.started_at,
        "duration_s": head.duration_s,
        "result": result if result is not None else {},
    }


def run(roots: list[Path], *, sort: str, limit: int | None, json: bool) -> None:
    """The command."""
    for root in roots:
        if not root.exists():
            raise UserError(f"{root}: no such directory")
    if sort not in SORT_KEYS:
        raise UserError(f"--sort: expected one of {', '.join(SORT_KEYS)}, found {sort!r}")
    chosen = roots or default_roots()
    listed = list_runs(chosen, sort=sort, limit=limit)
    _complain(listed)
    if json:
        print_json(listed.runs)
    elif listed.runs:
        _print_table(listed.runs)
    else:
        places = ", ".join(map(str, chosen)) or "outputs/ and multirun/ of this folder"
        print(f"No runs with a record below {places}. Make one: python train.py +repro=strict")


def _complain(listed: Listed) -> None:
    import sys

    for directory, reason in listed.damaged:
        print(f"damaged: {directory}: {reason}", file=sys.stderr)


def _print_table(runs: list[dict[str, JSON]]) -> None:
    from rich.table import Table

    from repro_hydra.sweep.render import plain_console

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("run", "started", "mode", "status", "upheld", "seed", "result", "directory"):
        table.add_column(title, justify="right" if title == "seed" else "left", overflow="fold")
    for item in runs:
        started = str(item["started_at"] or "")[:19].replace("T", " ")
        table.add_row(
            str(item["run_id"])[:8],
            started,
            item["mode"],
            item["status"],
            item["upheld"],
            str(item["seed"]),
            _result_words(item["result"]),
            shorten_home(item["dir"]),
        )
    plain_console().print(table, highlight=False, markup=False)


def _result_words(result: JSON) -> str:
    words = []
    for key, value in list(result.items())[:3]:
        words.append(f"{key}={value:.5g}" if isinstance(value, float) else f"{key}={value}")
    more = len(result) - 3
    return " ".join(words) + (f" and {more} more" if more > 0 else "")
