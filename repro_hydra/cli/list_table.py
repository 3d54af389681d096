"""The table of ``repro-hydra list``: a line a run, in colours where a terminal shows them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from repro_hydra.cli.output import shorten_home
from repro_hydra.record.schema import JSON
from repro_hydra.record.values import from_json_number
from repro_hydra.sweep.table import Column, lay_out

DAMAGED = "damaged"
"""Shown in place of a status, for what looks like a record and cannot be read as one."""

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


def table_of(runs: Sequence[dict[str, JSON]], columns: Sequence[str] = ()) -> str:
    """The runs as lines of a table that fits the terminal, where it goes to one.

    Parameters
    ----------
    runs : sequence of dict
        As ``--json`` has them.
    columns : sequence of str
        Recorded values to show in place of the usual columns.
    """
    width, colour = None, False
    if sys.stdout.isatty():
        from rich.console import Console  # knows the terminal's width, NO_COLOR and the like

        from repro_hydra.sweep.render import is_coloured

        console = Console()
        width, colour = console.width, is_coloured(console)
    cwd = os.getcwd()  # noqa: PTH109 (once, not for each run)
    if columns:
        chosen = [
            Column("run"),
            *(Column(name, right=_is_numeric(runs, name)) for name in columns),
            _COLUMNS[-1],
        ]
        rows: list[tuple[str, ...]] = [
            (
                (item["run_id"] or "-")[:8],
                *(_words(item.get("values", {}).get(name)) for name in columns),
                shorten_home(item["dir"], cwd),
            )
            for item in runs
        ]
        return lay_out(chosen, rows, width=width, colour=colour)
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


def _is_numeric(runs: Sequence[dict[str, JSON]], name: str) -> bool:
    values = [item.get("values", {}).get(name) for item in runs]
    return any(value is not None for value in values) and all(
        value is None or from_json_number(value) is not None for value in values
    )


def _words(value: JSON) -> str:
    return "" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)


def _result_words(result: dict[str, JSON]) -> str:
    words = []
    for key, value in list(result.items())[:_MOST_METRICS]:
        words.append(f"{key}={_words(value)}")
    more = len(result) - _MOST_METRICS
    return " ".join(words) + (f" and {more} more" if more > 0 else "")
