"""Matplotlib's figures as parts of a page, and as files.

In the page a figure is inline SVG: its colours become CSS variables, so that they follow light and dark; its text stays
text; and its ids get the figure's name, since a page may hold each id once.
"""

from __future__ import annotations

import io
import re
from html import escape
from pathlib import Path

from repro_hydra.record.store import write_bytes
from repro_hydra.report.figure_style import GRID, INK, MUTED, PAPER, SERIES, drawing, printable
from repro_hydra.report.figures import Drawn

_DATES = {"pdf": "CreationDate", "svg": "Date", "png": None}
"""Formats, and what each calls the date that would make every file another."""
_DPI = 300
_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
    PAPER: "var(--bg)",
    **{colour: f"var(--series-{place})" for place, colour in enumerate(SERIES, start=1)},
}
_COLOURS = re.compile("|".join(_VARIABLES))
_ID = re.compile(r'\bid="([^"]+)"')
_REFERENCE = re.compile(r'(url\(#|href="#)([^")]+)')
_FONT = re.compile(r"font: (?:[\w.%]+ )*?([\d.]+px) [^;\"]*")
_TAG = re.compile(r"<svg [^>]*?viewBox=\"([^\"]*)\"[^>]*>")
_STYLE = re.compile(r"<defs>\s*<style type=\"text/css\">.*?</style>\s*</defs>", re.DOTALL)
_TEXT = re.compile(r">[^<]*<")
_PATH = re.compile(r' d="[^"]*"')
_FRACTION = re.compile(r"(\d+\.\d{2})\d+")


def to_inline_svg(drawn: Drawn) -> str:
    """The figure as a piece of HTML. Everything in it that came from a record is escaped by Matplotlib's writer."""
    import matplotlib as mpl

    stream = io.StringIO()
    with drawing(), mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": drawn.name}):
        drawn.draw().savefig(
            stream, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    text = stream.getvalue()
    text = text[text.index("<svg ") :]
    viewed = _TAG.search(text)
    box = viewed[1] if viewed is not None else ""
    body = _STYLE.sub("", _TAG.sub("", text, count=1))
    body = _outside_text(body)
    prefix = re.sub(r"\W", "-", drawn.name)
    body = _ID.sub(rf'id="{prefix}-\1"', body)
    body = _REFERENCE.sub(rf"\1{prefix}-\2", body)
    body = re.sub(r"\n\s*", "\n", body)
    title, description = escape(printable(drawn.title)), escape(printable(drawn.description))
    return (
        f'<svg viewBox="{box}" role="img" aria-labelledby="{prefix}-title {prefix}-desc" focusable="false">'
        f'<title id="{prefix}-title">{title}</title><desc id="{prefix}-desc">{description}</desc>{body}'
    )


def _outside_text(body: str) -> str:
    """Colours and fonts in tags only: a configuration may be called ``#0072b2``."""
    parts = []
    end = 0
    for between in _TEXT.finditer(body):
        parts.append(_tag(body[end : between.start() + 1]))
        parts.append(body[between.start() + 1 : between.end() - 1])
        end = between.end() - 1
    return "".join([*parts, _tag(body[end:])])


def _tag(text: str) -> str:
    # A hundredth of a point is finer than any screen, and half the size.
    text = _PATH.sub(lambda match: _FRACTION.sub(r"\1", match.group()).replace(" \n", " "), text)
    text = _COLOURS.sub(lambda match: _VARIABLES[match.group()], text)
    return _FONT.sub(r"font-size: \1", text)


def save(drawn: Drawn, folder: Path) -> list[Path]:
    """The figure as PDF, SVG and PNG in `folder`, with its text as text (PDF) or outlines (SVG)."""
    import matplotlib as mpl

    written = []
    with drawing(), mpl.rc_context({"svg.hashsalt": drawn.name}):
        figure = drawn.draw()
        for kind, date in _DATES.items():
            stream = io.BytesIO()
            metadata = {"Title": printable(drawn.title)} | ({date: None} if date else {})
            figure.savefig(stream, format=kind, dpi=_DPI, metadata=metadata)
            path = folder / f"{drawn.name}.{kind}"
            write_bytes(path, stream.getvalue())
            written.append(path)
    return written
