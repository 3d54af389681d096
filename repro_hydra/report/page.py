"""The page: the template filled, everything escaped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro_hydra import __version__
from repro_hydra.report.content import Content, RunLine
from repro_hydra.report.figure_style import printable
from repro_hydra.report.figures import Drawn
from repro_hydra.report.plates import Plates
from repro_hydra.report.svg import to_inline_svg
from repro_hydra.sweep.document import AggregateRow
from repro_hydra.sweep.render import cells, columns_that_say_something, grouped_notes, header
from repro_hydra.sweep.wording import config_words, number

if TYPE_CHECKING:
    from jinja2 import Environment

MOST_ROWS = 1000
MOST_NOTES = 60
MOST_LEFT_OUT = 100
MOST_RUNS = 300
MOST_FINDINGS = 100
MOST_COMPARISONS = 400

_SIGNS = {
    "yes": "✓",
    "waived": "◐",
    "no": "✗",
    "not_promised": "·",
    "BITWISE": "✓",
    "WITHIN_TOLERANCE": "✓",
    "CONSISTENT": "✓",
    "DIVERGED": "✗",
    "IMPOSSIBLE": "·",
}
"""Beside the word, for whoever does not see the colour."""
_TONES = {
    "yes": "good",
    "waived": "fair",
    "no": "bad",
    "BITWISE": "good",
    "WITHIN_TOLERANCE": "good",
    "CONSISTENT": "good",
    "DIVERGED": "bad",
    "IMPOSSIBLE": "fair",
}


@dataclass(frozen=True, slots=True)
class _Grid:
    """A table as text."""

    heads: list[str]
    rows: list[list[str]]
    more: int = 0
    """Rows that are not shown."""


def to_html(content: Content, plates: Plates, *, title: str | None, made_at: datetime, command: str) -> str:
    """The whole document.

    Parameters
    ----------
    title : str, optional
        In place of one made from the folders.
    made_at : datetime
        Told in the page, in UTC.
    command : str
        What makes the page again.
    """
    from markupsafe import Markup

    aggregate = content.aggregate
    rows = [row for row in aggregate.rows if row.metric is not None or row.failed or row.missing]
    notes = grouped_notes(rows)
    statuses: dict[str, int] = {}
    for line in content.runs:
        statuses[line.run.status] = statuses.get(line.run.status, 0) + 1
    template = _environment().get_template("page.html.jinja")
    return template.render(
        title=title or _title(content),
        css=Markup((Path(__file__).parent / "page.css").read_text(encoding="utf-8")),  # noqa: S704 (our own)
        content=content,
        plates={name: [_plate(drawn) for drawn in getattr(plates, name)] for name in _SECTIONS},
        cut=[*plates.cut, *content.cut],
        made_at=made_at.strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
        command=command,
        configurations=len({config_words(row.config) for row in rows}),
        statuses=statuses,
        missing=sum({config_words(row.config): row.missing or 0 for row in rows}.values()),
        results=_results(rows),
        notes=notes[:MOST_NOTES],
        more_notes=len(notes) - MOST_NOTES,
        left_out=aggregate.left_out[:MOST_LEFT_OUT],
        more_left_out=len(aggregate.left_out) - MOST_LEFT_OUT,
        comparisons=content.comparisons[:MOST_COMPARISONS],
        more_comparisons=len(content.comparisons) - MOST_COMPARISONS,
        findings=content.promise.findings[:MOST_FINDINGS],
        more_findings=len(content.promise.findings) - MOST_FINDINGS,
        runs=_runs(content.runs, content.roots),
        manifests=_manifests(content.runs, content.roots),
        period=_period(content.runs),
        computing=_computing(content.runs),
        signs=_SIGNS,
        tones=_TONES,
    )


_SECTIONS = ("points", "curves", "differences", "profiles")


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters["number"] = number
    environment.filters["words"] = config_words
    return environment


def _shown(value: Any) -> Any:
    """Text without what no page can hold; markup of our own as it is."""
    if type(value) is not str or value.isprintable():
        return value
    return "\n".join(map(printable, value.split("\n")))


def _title(content: Content) -> str:
    """The name that all runs have, else the folders, with the day where one is called by its time."""
    names = {line.run.name for line in content.runs}
    if len(names) == 1 and (name := names.pop()):
        return f"Report on {name}"
    return f"Report on {', '.join('/'.join(Path(root).parts[-2:]) for root in content.roots[:3])}"


def _plate(drawn: Drawn) -> dict[str, Any]:
    from markupsafe import Markup

    return {"title": drawn.title, "svg": Markup(to_inline_svg(drawn))}  # noqa: S704 (escaped there)


def _results(rows: Sequence[AggregateRow]) -> _Grid:
    body = [cells(row) for row in rows]
    heads = header(rows[0] if rows else None, 0.95)
    kept = columns_that_say_something(body, heads)
    return _Grid(
        [heads[index] for index in kept],
        [[row[index] for index in kept] for row in body[:MOST_ROWS]],
        max(0, len(body) - MOST_ROWS),
    )


def _runs(lines: Sequence[RunLine], roots: Sequence[str]) -> _Grid:
    lines = sorted(lines, key=lambda line: _naturally(line.run.dir))
    body = [
        [
            _short(line.run.dir, roots),
            line.run.run_id[:12],
            str(line.run.seed),
            line.run.status,
            str(line.run.upheld),
            line.run.started_at[:19].replace("T", " "),
            "—" if line.told.duration_s is None else f"{line.told.duration_s:.3g}",
        ]
        for line in lines[:MOST_RUNS]
    ]
    heads = ["directory", "run", "seed", "status", "upheld", "started (UTC)", "seconds"]
    return _Grid(heads, body, max(0, len(lines) - MOST_RUNS))


def _manifests(lines: Sequence[RunLine], roots: Sequence[str]) -> _Grid:
    having = sorted((line for line in lines if line.manifest), key=lambda line: _naturally(line.run.dir))
    body = [[_short(line.run.dir, roots), f"blake3:{line.manifest}"] for line in having[:MOST_RUNS]]
    return _Grid(["directory", "manifest"], body, max(0, len(having) - MOST_RUNS))


def _short(directory: str, roots: Sequence[str]) -> str:
    """A run's directory from its root's name on, where that is unmistakable."""
    names = [Path(root).name for root in roots]
    for root, name in zip(roots, names, strict=True):
        if name and names.count(name) == 1 and directory.startswith(f"{root}/"):
            return f"{name}{directory[len(root) :]}"
    return directory


def _naturally(text: str) -> list[tuple[bool, int, str]]:
    """A key under which job 10 comes after job 9."""
    parts = re.split(r"([0-9]{1,18})", text)
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def _computing(lines: Sequence[RunLine]) -> str:
    seconds = sum(line.told.duration_s or 0.0 for line in lines)
    if seconds < 120:
        return f"{seconds:.0f} seconds" if seconds >= 1 else ""
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def _period(lines: Sequence[RunLine]) -> tuple[str, str] | None:
    starts = sorted(line.run.started_at for line in lines)
    ends = sorted(line.told.ended_at for line in lines if line.told.ended_at)
    if not starts:
        return None
    return starts[0][:16].replace("T", " "), (ends or starts)[-1][:16].replace("T", " ")
