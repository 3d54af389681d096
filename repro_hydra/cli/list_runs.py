"""``repro-hydra list``: the runs below some folders, newest first."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from repro_hydra.cli.errors import UserError
from repro_hydra.cli.output import default_roots, folders, now, print_json, shorten_home
from repro_hydra.record.find import RunHead, read_head, read_result, read_sweep_id, walk
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.schema import JSON, ConfigRecord, RunRecord
from repro_hydra.record.store import RecordError, read
from repro_hydra.record.values import from_json_number
from repro_hydra.record.where import RunValues, Where, WhereError, parse_where
from repro_hydra.sweep.configuration import flatten
from repro_hydra.sweep.table import Column, clean, lay_out

SORT_KEYS = ("created_at", "started_at", "name", "seed", "status", "duration_s")
"""What every run can be sorted by; the metrics of the runs come on top."""

DAMAGED = "damaged"
"""Shown in place of a status, for what looks like a record and cannot be read as one."""

_TIMES = ("created_at", "started_at")
_MOST_METRICS = 3
_STATUS_STYLES = {
    "completed": "32",
    "running": "36",
    "created": "36",
    "interrupted": "33",
    "preempted": "33",
    "failed": "31",
    "lost": "31",
    DAMAGED: "31",
}
_UPHELD_STYLES = {"yes": "32", "waived": "33", "no": "31"}
_COLUMNS = (
    Column("run"),
    Column("started", drop=3),
    Column("mode", drop=4),
    Column("status", styles=_STATUS_STYLES),
    Column("upheld", styles=_UPHELD_STYLES),
    Column("seed", right=True),
    Column("result", drop=1),
    Column("directory"),
)


def list_runs(
    roots: Sequence[Path],
    *,
    where: Where | None = None,
    sort: str = "created_at",
    limit: int | None = None,
) -> list[dict[str, JSON]]:
    """The runs below `roots`, as `repro-hydra list --json` has them.

    Parameters
    ----------
    roots : sequence of Path
        Folders; every run below them is found.
    where : Where, optional
        Which of them; damaged records are told all the same.
    sort : str
        One of `SORT_KEYS`, or a metric. Times put the newest first, the rest the smallest; what has no such
        value comes last, and damaged records after that.
    limit : int, optional
        How many to keep, after sorting.

    Raises
    ------
    UserError
        Nothing can be sorted by `sort`, or no run has what `where` asks for.
    """
    heads: list[tuple[str, RunHead]] = []
    damaged: list[dict[str, JSON]] = []
    for located in walk(roots):
        try:
            if located.kind == "run":
                heads.append((located.dir, read_head(located.dir)))
            elif located.kind == "sweep":
                read_sweep_id(located.dir)  # shown by its jobs; a damaged plan is told
            else:
                damaged.append(_document(located.dir, None, located.problem))
        except RecordError as error:
            damaged.append(_document(located.dir, None, str(error)))
    damaged.sort(key=lambda item: str(item["dir"]))
    if where is not None:
        heads = _selected(heads, where)
    if sort in SORT_KEYS:
        heads.sort(key=lambda item: (item[1].created_at, item[0]), reverse=True)
        heads.sort(
            key=lambda item: _sort_key(getattr(item[1], sort), newest=sort in _TIMES), reverse=sort in _TIMES
        )
        kept = heads if limit is None else heads[:limit]
        runs = [_read_rest(directory, head) for directory, head in kept]
    else:
        runs = _by_metric([_read_rest(directory, head) for directory, head in heads], sort)
    return [*runs, *damaged][:limit]


def _selected(heads: list[tuple[str, RunHead]], where: Where) -> list[tuple[str, RunHead]]:
    kept: list[tuple[str, RunHead]] = []
    missing = set(where.unknown_names([]))
    with_config = any(name.startswith("config.") for name in where.names)
    for directory, head in heads:
        listed = _read_rest(directory, head)
        fields = {**listed, "created_at": head.created_at}
        values = RunValues(fields, _config_of(directory) if with_config else {}, listed["result"])
        if missing:
            missing &= set(where.unknown_names([values]))
        if where.selects(values):
            kept.append((directory, head))
    if heads and missing:
        names = ", ".join(name for name in where.names if name in missing)
        raise UserError(f"--where {where.text!r}: none of the {len(heads)} runs has {names}")
    return kept


def _config_of(directory: str) -> dict[str, JSON]:
    try:
        return flatten(read(RunPaths(Path(directory)).config, ConfigRecord).resolved)
    except RecordError:
        return {}  # it left none, or a damaged one: nothing is known of it


def _by_metric(runs: list[dict[str, JSON]], name: str) -> list[dict[str, JSON]]:
    if runs and not any(name in run["result"] for run in runs):
        metrics = sorted({key for run in runs for key in run["result"]})
        raise UserError(f"--sort: expected one of {', '.join([*SORT_KEYS, *metrics])}, found {name!r}")
    return sorted(runs, key=lambda run: _sort_key(run["result"].get(name)))


def _sort_key(value: JSON, *, newest: bool = False) -> tuple[bool, int, float, str]:
    """Numbers before words before nothing; `newest` when the order is going to be reversed."""
    absent = value is None
    number = from_json_number(value)
    if number is None or number != number:  # NaN has no order
        return absent is not newest, 1, 0.0, "" if absent else str(value)
    return newest, 0, number, ""


def _read_rest(directory: str, head: RunHead) -> dict[str, JSON]:
    """The listed fields of a run; what of it cannot be read is told in ``problem``."""
    problem = None
    result: dict[str, JSON] | None = None
    status: str = head.status
    try:
        if status in ("created", "running"):
            from repro_hydra.record.status import shown_status  # brings psutil

            run = read(RunPaths(Path(directory)).run, RunRecord)
            status = shown_status(run, host=platform.node(), now=now())
        result = read_result(directory)
    except RecordError as error:
        problem = str(error)
    return _document(directory, head, problem, status=status, result=result)


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


def run(roots: list[Path], *, where: str | None, sort: str, limit: int | None, json: bool) -> None:
    """The command."""
    try:
        selection = None if where is None else parse_where(where)
    except WhereError as error:
        raise UserError(str(error)) from None
    chosen = folders(roots) if roots else default_roots()
    listed = list_runs(chosen, where=selection, sort=sort, limit=limit)
    if json:
        print_json(listed)
        return
    if listed:
        sys.stdout.write(_table(listed))
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


def _table(runs: Sequence[dict[str, JSON]]) -> str:
    width, colour = None, False
    if sys.stdout.isatty():
        from rich.console import Console  # knows the terminal's width, NO_COLOR and the like

        from repro_hydra.sweep.render import is_coloured

        console = Console()
        width, colour = console.width, is_coloured(console)
    cwd = os.getcwd()  # noqa: PTH109 (once, not for each run)
    rows = [
        (
            (item["run_id"] or "-")[:8],
            (item["started_at"] or "")[:19].replace("T", " "),
            item["mode"] or "",
            item["status"]
            if item["problem"] is None or item["status"] == DAMAGED
            else f"{item['status']} (!)",
            item["upheld"] or "",
            "" if item["seed"] is None else str(item["seed"]),
            _result_words(item["result"]),
            shorten_home(item["dir"], cwd),
        )
        for item in runs
    ]
    return lay_out(_COLUMNS, rows, width=width, colour=colour)


def _result_words(result: dict[str, JSON]) -> str:
    words = []
    for key, value in list(result.items())[:_MOST_METRICS]:
        words.append(f"{key}={value:.5g}" if isinstance(value, float) else f"{key}={value}")
    more = len(result) - _MOST_METRICS
    return " ".join(words) + (f" and {more} more" if more > 0 else "")
