"""``repro-hydra aggregate``: a row for each configuration, the seeds as its repeats."""

from __future__ import annotations

import sys
from pathlib import Path

from repro_hydra.cli.errors import NO, UserError
from repro_hydra.cli.output import folders, print_json
from repro_hydra.record.where import Where, WhereError, parse_where
from repro_hydra.sweep.aggregate import aggregate
from repro_hydra.sweep.besides import TRIM
from repro_hydra.sweep.comparisons import UnknownBaseline
from repro_hydra.sweep.document import Aggregate
from repro_hydra.sweep.group import UnknownKey
from repro_hydra.sweep.measuring import NotRepeats, UnknownMetric
from repro_hydra.sweep.render import left_out_lines, plain_console, render_aggregate, to_csv, to_markdown

FORMATS = ("table", "json", "csv", "latex", "markdown")


def run(
    dirs: list[Path],
    *,
    metrics: list[str],
    by: list[str],
    where: str | None,
    baseline: str | None,
    worth_finding: float | None,
    steps: bool,
    upheld: bool,
    strict: bool,
    confidence: float,
    form: str,
    bootstrap: int | None = None,
    besides: bool = False,
    trim: float = TRIM,
    stability_threshold: float = 0.1,
    tolerance: float = 0.01,
) -> None:
    """The command."""
    if form not in FORMATS:
        raise UserError(f"--format: expected one of {', '.join(FORMATS)}, found {form!r}")
    check_confidence(confidence)
    for option, limit in (("--stable", stability_threshold), ("--tolerance", tolerance)):
        if not limit < float("inf"):  # NaN too
            raise UserError(f"{option}: expected a number of at least 0, found {limit:g}")
    if not 0 <= trim < 0.5:
        raise UserError(f"--trim: expected a number from 0 to below 0.5, found {trim:g}")
    if worth_finding is not None and not 0 < worth_finding < float("inf"):
        raise UserError(f"--worth-finding: expected a positive number, found {worth_finding:g}")
    if worth_finding is not None and baseline is None:
        raise UserError("--worth-finding: expected a --baseline to differ from, found none")
    selection = parsed_where(where)
    # Of a curve on request only: a test a step is none, and there are thousands of them.
    besides = besides or (form in ("json", "csv") and not steps)
    dirs = folders(dirs)
    try:
        found = aggregate(
            dirs,
            metrics=metrics or None,
            by=by or None,
            where=selection,
            baseline=baseline,
            worth_finding=worth_finding,
            steps=steps,
            upheld_only=upheld,
            strict=strict,
            confidence=confidence,
            bootstrap=bootstrap,
            trim=trim if besides else None,
            stability_threshold=stability_threshold,
            tolerance=tolerance,
        )
    except (UnknownMetric, UnknownKey, UnknownBaseline, WhereError) as error:
        raise UserError(str(error)) from None
    except NotRepeats as error:
        raise UserError(str(error), NO) from None
    _print(found, form, confidence)
    if found.is_empty:
        told = form == "table" and bool(found.rows)
        raise UserError(why_empty(found, dirs, told=told, steps=steps), NO)


def check_confidence(confidence: float) -> None:
    """Refuse what is no confidence."""
    if not 0 < confidence < 1:
        hint = f". Write {confidence / 100:g}" if 1 < confidence < 100 else ""
        raise UserError(f"--confidence: expected a number between 0 and 1, found {confidence:g}{hint}")


def parsed_where(text: str | None) -> Where | None:
    """``--where`` as an expression."""
    if text is None:
        return None
    try:
        return parse_where(text)
    except WhereError as error:
        raise UserError(str(error)) from None


def why_empty(found: Aggregate, dirs: list[Path], *, told: bool = False, steps: bool = False) -> str:
    """Why there is nothing in any row; `told` where the reasons stand above already."""
    wanted = "that logged metrics step by step (repro_hydra.log_metrics)" if steps else "with metrics"
    where = ", ".join(map(str, dirs))
    selection = found.selection
    lines = [] if told else left_out_lines(found)
    if selection is not None and selection.not_selected:
        lines.insert(0, f"not selected by --where {selection.where!r}: {selection.not_selected} runs")
    return f"{where}: nothing to aggregate: no completed run {wanted}" + "".join(
        f"\n  {line}" for line in lines
    )


def _print(found: Aggregate, form: str, confidence: float) -> None:
    if form == "json":
        print_json(found.to_json())
    elif form == "csv":
        sys.stdout.write(to_csv(found))
    elif form == "markdown":
        sys.stdout.write(to_markdown(found, confidence=confidence))
    elif form == "latex":
        from repro_hydra.sweep.latex import to_latex

        sys.stdout.write(to_latex(found, confidence=confidence))
    elif found.rows:
        render_aggregate(found, plain_console(), confidence=confidence)
