"""Tables in plain text: aligned, whole when piped, fitted to a terminal where there is one.

`rich` makes fine tables and takes seconds for ten thousand rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_GAP = "  "
# What a terminal would act on, or writes in another order than it stands: a record may come from a stranger.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_BREAK = re.compile(r"\s*[\r\n]+\s*")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    title: str
    right: bool = False
    """Numbers are aligned to the right."""
    drop: int = 0
    """Where a terminal is too narrow, the column with the highest number goes first; 0 always stays."""
    styles: Mapping[str, str] | None = None
    """Cell text to ANSI style, for terminals."""


def clean(text: str) -> str:
    """`text` on one line, without characters that a terminal acts on."""
    if text.isprintable():
        return text
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", _BREAK.sub(" / ", text.rstrip()))


def lay_out(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    width: int | None = None,
    colour: bool = False,
) -> str:
    """The table as text, each line ended.

    Parameters
    ----------
    columns : sequence of Column
        Their order is that of the cells.
    rows : sequence of sequences of str
        One cell a column.
    width : int, optional
        Of the terminal: columns are dropped until the table fits or none may be dropped. No limit if not given.
    colour : bool
        Whether cells are painted.
    """
    cells = [[clean(cell) for cell in row] for row in rows]
    widths = [
        max([_cell_width(column.title), *(_cell_width(row[place]) for row in cells)])
        for place, column in enumerate(columns)
    ]
    kept = list(range(len(columns)))
    while width is not None and sum(widths[place] + len(_GAP) for place in kept) - len(_GAP) > width:
        droppable = [place for place in kept if columns[place].drop]
        if not droppable:
            break
        kept.remove(max(droppable, key=lambda place: columns[place].drop))
    shown = [(place, columns[place], widths[place]) for place in kept]
    heading = _GAP.join(_pad(column.title, size, column.right) for _, column, size in shown).rstrip()
    lines = [f"\x1b[1m{heading}\x1b[0m" if colour else heading]
    for row in cells:
        parts = []
        for place, column, size in shown:
            padded = _pad(row[place], size, column.right)
            style = column.styles.get(row[place]) if colour and column.styles else None
            parts.append(f"\x1b[{style}m{padded}\x1b[0m" if style else padded)
        lines.append(_GAP.join(parts).rstrip())
    return "\n".join(lines) + "\n"


def _pad(text: str, size: int, right: bool) -> str:
    blanks = " " * (size - _cell_width(text))
    return blanks + text if right else text + blanks


def _cell_width(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # knows which characters are two columns wide

    return cell_len(text)
