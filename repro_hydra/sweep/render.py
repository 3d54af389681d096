"""The aggregate as a table for people, and as CSV and Markdown for documents."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from repro_hydra.record.schema import JSON
from repro_hydra.sweep.aggregate import Aggregate, AggregateRow

if TYPE_CHECKING:
    from rich.console import Console

_UNDEFINED = "—"
_MOST_LEFT_OUT = 20
_WIDE = 1000


def plain_console() -> Console:
    """A console on standard output: as wide as the terminal, or as wide as needed where there is none."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=_WIDE)


def number(value: float | None, digits: int = 5) -> str:
    """A number with `digits` significant digits; a dash for what is undefined."""
    if value is None:
        return _UNDEFINED
    return f"{value:.{digits}g}" if math.isfinite(value) else str(value)


def config_words(config: dict[str, JSON]) -> str:
    """The keys in which a row's configuration differs from the others'."""
    return " ".join(f"{key}={value}" for key, value in config.items()) or "(one configuration)"


def header(row: AggregateRow | None, confidence: float) -> list[str]:
    """The columns' names; the interval's says its confidence."""
    chosen = row.confidence if row is not None else confidence
    interval = f"{chosen * 100:g} % interval"
    return [
        "configuration",
        "metric",
        "n",
        "mean",
        "std",
        interval,
        "CoV",
        "min",
        "median",
        "max",
        "failed",
        "missing",
    ]


def cells(row: AggregateRow) -> list[str]:
    """One row, as text."""
    interval = _UNDEFINED
    if row.ci_low is not None and row.ci_high is not None:
        interval = f"{number(row.ci_low)} … {number(row.ci_high)}"
    count = str(row.n) if row.planned is None else f"{row.n} of {row.planned}"
    return [
        config_words(row.config),
        row.metric or _UNDEFINED,
        count,
        number(row.mean),
        number(row.std, 4),
        interval,
        number(row.coefficient_of_variation, 4),
        number(row.min),
        number(row.median),
        number(row.max),
        str(row.failed),
        _UNDEFINED if row.missing is None else str(row.missing),
    ]


def render_aggregate(aggregate: Aggregate, console: Console, *, confidence: float = 0.95) -> None:
    """Print `aggregate` on `console`: the table, its notes, and what it left out.

    Make `console` with `plain_console`, so that off a terminal no line is folded.
    """
    from rich.table import Table

    rows = aggregate.rows
    names = header(rows[0] if rows else None, confidence)
    body = [cells(row) for row in rows]
    shown = _columns_that_say_something(body, len(names))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index in shown:
        table.add_column(names[index], justify="left" if index < 2 else "right", overflow="fold")
    for row in body:
        table.add_row(*(row[index] for index in shown))
    if body:
        console.print(table)
    for note in notes_of(rows):
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    for line in left_out_lines(aggregate):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def notes_of(rows: Iterable[AggregateRow]) -> list[str]:
    """Each note once, with the rows that it is about where it is not about all of them."""
    rows = list(rows)
    about: dict[str, list[str]] = {}
    for row in rows:
        for note in row.notes:
            about.setdefault(note, []).append(f"{config_words(row.config)} {row.metric or ''}".strip())
    return [
        f"note: {note}" if len(names) == len(rows) else f"note ({'; '.join(names)}): {note}"
        for note, names in about.items()
    ]


def left_out_lines(aggregate: Aggregate) -> list[str]:
    """What is in no row's numbers, and why."""
    lines = [f"left out: {item.dir}: {item.reason}" for item in aggregate.left_out[:_MOST_LEFT_OUT]]
    more = len(aggregate.left_out) - _MOST_LEFT_OUT
    return [*lines, f"left out: and {more} more (all of them with --json)"] if more > 0 else lines


def to_csv(aggregate: Aggregate) -> str:
    """One line a row, numbers with all their digits, a column for each key of the configurations."""
    keys = list(dict.fromkeys(key for row in aggregate.rows for key in row.config))
    fields = [name for name in AggregateRow.__slots__ if name not in ("config", "seeds", "notes")]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*(f"config.{key}" for key in keys), *fields, "seeds", "notes"])
    for row in aggregate.rows:
        values = [getattr(row, name) for name in fields]
        writer.writerow(
            [
                *(row.config.get(key, "") for key in keys),
                *("" if value is None else value for value in values),
                " ".join(map(str, row.seeds)),
                "; ".join(row.notes),
            ]
        )
    return stream.getvalue()


def to_markdown(aggregate: Aggregate, *, confidence: float = 0.95) -> str:
    """The table as GitHub's Markdown, its notes below."""
    names = header(aggregate.rows[0] if aggregate.rows else None, confidence)
    lines = [_markdown_row(names), _markdown_row([":--", ":--", *["--:"] * (len(names) - 2)])]
    lines += [_markdown_row(cells(row)) for row in aggregate.rows]
    notes = [*notes_of(aggregate.rows), *left_out_lines(aggregate)]
    return "\n".join([*lines, "", *(f"- {note}" for note in notes)]).rstrip() + "\n"


def _markdown_row(values: Sequence[str]) -> str:
    return "| " + " | ".join(value.replace("|", "\\|") for value in values) + " |"


def _columns_that_say_something(body: Sequence[Sequence[str]], count: int) -> list[int]:
    """All but the columns of failures and missing seeds where there are none, and a configuration of its own."""
    silent = {_UNDEFINED, "0"}
    optional = (count - 2, count - 1)
    kept = []
    for index in range(count):
        column = {row[index] for row in body}
        if index in optional and column <= silent:
            continue
        if index == 0 and column == {"(one configuration)"}:
            continue
        kept.append(index)
    return kept
