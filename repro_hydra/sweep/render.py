"""The aggregate as a table for people, and as CSV and Markdown for documents."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from repro_hydra.sweep.document import Aggregate, AggregateRow
from repro_hydra.sweep.table import Column, clean, lay_out
from repro_hydra.sweep.wording import UNDEFINED, as_written, config_words, number

if TYPE_CHECKING:
    from rich.console import Console

_MOST_LEFT_OUT = 20
_MOST_NAMED = 6
_WIDE = 1000
_DIGITS = 5
_MOST_DIGITS = 15  # a double has no more to tell
_NAMES = 2  # the first columns are words, the rest are numbers
_FORMULA = ("=", "+", "-", "@")
_NUMBER = re.compile(r"[-+](?:[0-9]+\.?[0-9]*|\.[0-9]+|inf)(?:[eE][-+]?[0-9]+)?")
_OPTIONAL = {
    "step": {UNDEFINED},
    "bootstrap": {UNDEFINED},
    "IQM": {UNDEFINED},
    "trimmed mean": {UNDEFINED},
    "tolerance": {UNDEFINED},
    "normality": {UNDEFINED},
    "failed": {UNDEFINED, "0"},
    "missing": {UNDEFINED, "0"},
}
"""Columns that are left away where they hold nothing else."""
_DROPPED = {
    "normality": 7,
    "tolerance": 6,
    "trimmed mean": 5,
    "median": 4,
    "min": 3,
    "max": 3,
    "CoV": 2,
    "std": 1,
}
"""What goes first where a terminal is too narrow."""


def plain_console() -> Console:
    """A console on standard output: as wide as the terminal, or as wide as needed where there is none."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=_WIDE)


def header(row: AggregateRow | None, confidence: float) -> list[str]:
    """The columns' names; the interval's says its confidence."""
    chosen = row.confidence if row is not None else confidence
    interval = f"{chosen * 100:g} % interval"
    return [
        "configuration",
        "metric",
        "step",
        "n",
        "mean",
        "std",
        interval,
        "bootstrap",
        "IQM",
        "trimmed mean",
        "tolerance",
        "normality",
        "CoV",
        "min",
        "median",
        "max",
        "failed",
        "missing",
    ]


def cells(row: AggregateRow) -> list[str]:
    """One row, as text."""
    digits = _digits(row)
    interval = _limits(row.ci_low, row.ci_high, digits)
    count = str(row.n) if row.planned is None else f"{row.n} of {row.planned}"
    return [
        config_words(row.config),
        row.metric or UNDEFINED,
        UNDEFINED if row.step is None else str(row.step),
        count,
        number(row.mean, digits),
        number(row.std, 4),
        interval,
        _limits(row.bootstrap_low, row.bootstrap_high, digits),
        _middle(row, digits),
        number(row.trimmed_mean, digits),
        _limits(row.tolerance_low, row.tolerance_high, digits),
        _normality(row),
        number(row.coefficient_of_variation, 4),
        number(row.min, digits),
        number(row.median, digits),
        number(row.max, digits),
        str(row.failed),
        UNDEFINED if row.missing is None else str(row.missing),
    ]


def _limits(low: float | None, high: float | None, digits: int) -> str:
    return UNDEFINED if low is None or high is None else f"{number(low, digits)} … {number(high, digits)}"


def _middle(row: AggregateRow, digits: int) -> str:
    if row.interquartile_mean is None:
        return UNDEFINED
    limits = _limits(row.interquartile_mean_low, row.interquartile_mean_high, digits)
    return f"{number(row.interquartile_mean, digits)} ({limits})"


def _normality(row: AggregateRow) -> str:
    if row.normality_p_value is None:
        return UNDEFINED
    p_value = f"p = {number(row.normality_p_value, 2)}"
    return f"{p_value}, plainly not" if row.plainly_not_normal else p_value


def _digits(row: AggregateRow) -> int:
    """Significant digits that show two digits of the spread, however small it is beside the values."""
    largest = max((abs(value) for value in (row.mean, row.min, row.max) if value is not None), default=0.0)
    if not row.std or not largest:
        return _DIGITS
    needed = math.floor(math.log10(largest)) - math.floor(math.log10(row.std)) + 2
    return min(max(_DIGITS, needed), _MOST_DIGITS)


def render_aggregate(aggregate: Aggregate, console: Console, *, confidence: float = 0.95) -> None:
    """Print `aggregate` on `console`: the table, its notes, and what it left out.

    On a terminal the columns that say least are left away until the table fits.
    """
    width = console.width if console.is_terminal else None
    text = aggregate_text(aggregate, confidence=confidence, width=width, colour=is_coloured(console))
    console.out(text, highlight=False, end="")


def is_coloured(console: Console) -> bool:
    """Whether to paint: a terminal, and nobody asked for none (``NO_COLOR``)."""
    return console.is_terminal and not console.no_color


def aggregate_text(
    aggregate: Aggregate, *, confidence: float = 0.95, width: int | None = None, colour: bool = False
) -> str:
    """What `render_aggregate` prints; `width` and `colour` as in `repro_hydra.sweep.table.lay_out`."""
    rows = aggregate.rows
    names = header(rows[0] if rows else None, confidence)
    body = [cells(row) for row in rows]
    shown = columns_that_say_something(body, names)
    columns = [
        Column(names[index], right=index >= _NAMES, drop=_DROPPED.get(names[index], 0)) for index in shown
    ]
    table = ""
    if body:
        table = lay_out(
            columns, [[row[index] for index in shown] for row in body], width=width, colour=colour
        )
    return table + "".join(f"{clean(line)}\n" for line in lines_below(aggregate))


def lines_below(aggregate: Aggregate) -> list[str]:
    """What stands below a table: comparisons, notes, what was not selected and what was left out."""
    lines = [comparison.sentence for comparison in aggregate.comparisons or ()]
    selection = aggregate.selection
    if selection is not None:
        lines += [f"note: {note}" for note in selection.notes]
    lines += notes_of(aggregate.rows)
    if selection is not None and selection.not_selected:
        lines.append(f"not selected by --where: {selection.not_selected} runs")
    return [*lines, *left_out_lines(aggregate)]


def notes_of(rows: Iterable[AggregateRow]) -> list[str]:
    """Each note once, with the rows that it is about where it is not about all of them."""
    return [
        f"note ({_some(about)}): {note}" if about else f"note: {note}" for note, about in grouped_notes(rows)
    ]


def grouped_notes(rows: Iterable[AggregateRow]) -> list[tuple[str, list[str]]]:
    """Each note once, and the rows that it is about; none named where it is about all of them."""
    rows = list(rows)
    about: dict[str, list[str]] = {}
    for row in rows:
        for note in row.notes:
            about.setdefault(note, []).append(f"{config_words(row.config)} {row.metric or ''}".strip())
    return [
        (note, [] if len(names) == len(rows) else list(dict.fromkeys(names))) for note, names in about.items()
    ]


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return "; ".join(names[:_MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")


def left_out_lines(aggregate: Aggregate) -> list[str]:
    """What is in no row's numbers, and why."""
    lines = [f"left out: {item.dir}: {item.reason}" for item in aggregate.left_out[:_MOST_LEFT_OUT]]
    more = len(aggregate.left_out) - _MOST_LEFT_OUT
    return [*lines, f"left out: and {more} more (all of them with --json)"] if more > 0 else lines


def to_csv(aggregate: Aggregate) -> str:
    """One line a row, numbers with all their digits, a column for each key of the configurations."""
    keys = list(dict.fromkeys(key for row in aggregate.rows for key in row.config))
    fields = [name for name in AggregateRow.__slots__ if name not in ("config", "seeds", "notes", "values")]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*(_csv_cell(f"config.{key}") for key in keys), *fields, "seeds", "notes"])
    for row in aggregate.rows:
        values = [getattr(row, name) for name in fields]
        cells_of_row = [
            *(as_written(row.config[key]) if key in row.config else "" for key in keys),
            *("" if value is None else value for value in values),
            " ".join(map(str, row.seeds)),
            "; ".join(row.notes),
        ]
        writer.writerow([_csv_cell(value) for value in cells_of_row])
    return stream.getvalue()


def _csv_cell(value: object) -> object:
    """A text that a spreadsheet would compute (OWASP, "CSV Injection") gets an apostrophe; numbers stay numbers."""
    if not isinstance(value, str):
        return value
    text = clean(value)
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


def to_markdown(aggregate: Aggregate, *, confidence: float = 0.95) -> str:
    """The table as GitHub's Markdown, its notes below."""
    names = header(aggregate.rows[0] if aggregate.rows else None, confidence)
    body = [cells(row) for row in aggregate.rows]
    asked = ("step", "bootstrap", "IQM", "trimmed mean", "tolerance", "normality")
    shown = [
        index
        for index, name in enumerate(names)
        if name not in asked or any(row[index] != UNDEFINED for row in body)
    ]
    lines = [_markdown_row([names[index] for index in shown])]
    lines.append(_markdown_row([":--", ":--", *["--:"] * (len(shown) - 2)]))
    lines += [_markdown_row([row[index] for index in shown]) for row in body]
    notes = [*lines_below(aggregate)]
    return "\n".join([*lines, "", *(f"- {_escaped(note)}" for note in notes)]).rstrip() + "\n"


def _markdown_row(values: Sequence[str]) -> str:
    return "| " + " | ".join(_escaped(value) for value in values) + " |"


def _escaped(text: str) -> str:
    """Without what Markdown takes for HTML or for the end of a cell."""
    return clean(text).replace("<", "&lt;").replace("|", "\\|")


def columns_that_say_something(body: Sequence[Sequence[str]], names: Sequence[str]) -> list[int]:
    """All but what nobody asked for, failures and missing seeds where there are none, and a lone configuration."""
    kept = []
    for index, name in enumerate(names):
        column = {row[index] for row in body}
        if name in _OPTIONAL and column <= _OPTIONAL[name]:
            continue
        if index == 0 and column == {"(one configuration)"}:
            continue
        kept.append(index)
    return kept
