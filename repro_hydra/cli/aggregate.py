"""``repro-hydra aggregate``: a row for each configuration, the seeds as its repeats."""

from __future__ import annotations

import sys
from pathlib import Path

from repro_hydra.cli.errors import NO, UserError
from repro_hydra.cli.output import folders, print_json
from repro_hydra.sweep.aggregate import UnknownMetric, aggregate
from repro_hydra.sweep.group import UnknownKey
from repro_hydra.sweep.render import left_out_lines, plain_console, render_aggregate, to_csv, to_markdown

FORMATS = ("table", "json", "csv", "markdown")


def run(dirs: list[Path], *, metrics: list[str], by: list[str], confidence: float, form: str) -> None:
    """The command."""
    if form not in FORMATS:
        raise UserError(f"--format: expected one of {', '.join(FORMATS)}, found {form!r}")
    if not 0 < confidence < 1:
        raise UserError(f"--confidence: expected a number between 0 and 1, found {confidence:g}")
    dirs = folders(dirs)
    try:
        found = aggregate(dirs, metrics=metrics or None, by=by or None, confidence=confidence)
    except (UnknownMetric, UnknownKey) as error:
        raise UserError(str(error)) from None
    if form == "json":
        print_json(found.to_json())
    elif form == "csv":
        sys.stdout.write(to_csv(found))
    elif form == "markdown":
        sys.stdout.write(to_markdown(found, confidence=confidence))
    elif found.rows:
        render_aggregate(found, plain_console(), confidence=confidence)
    if found.is_empty:
        where = ", ".join(map(str, dirs))
        reasons = (
            "" if form == "table" and found.rows else "".join(f"\n  {line}" for line in left_out_lines(found))
        )
        raise UserError(f"{where}: nothing to aggregate: no completed run with metrics{reasons}", NO)
