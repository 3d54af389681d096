"""The options of the commands that look: list, show, aggregate, report, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from repro_hydra.cli.errors import told_plainly
from repro_hydra.cli.options import (
    Baseline,
    Bootstrap,
    By,
    Confidence,
    Dirs,
    Json,
    Metric,
    OnlyUpheld,
    Strict,
    Where,
    WorthFinding,
)
from repro_hydra.sweep.besides import TRIM


def list_command(
    roots: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[ROOT]...",
            help="Folders, or run ids; by default every place this project wrote to.",
        ),
    ] = None,
    sort: Annotated[
        str,
        typer.Option(
            metavar="KEY",
            help="created_at, started_at (newest first), name, seed, status, duration_s, a metric, or any recorded "
            "value: config.KEY, code.commit.",
        ),
    ] = "created_at",
    reverse: Annotated[bool, typer.Option("--reverse", help="Sort the other way round.")] = False,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Show these recorded values instead: status,config.optimizer.lr,result.accuracy,run.host.",
        ),
    ] = None,
    where: Where = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Show this many at the most.")] = None,
    json: Json = False,
) -> None:
    """List the runs below the roots, newest first."""
    from repro_hydra.cli import list_runs

    with told_plainly("list"):
        chosen = [name.strip() for name in (columns or "").split(",") if name.strip()]
        list_runs.run(
            roots or [],
            where=where,
            sort=sort,
            reverse=reverse,
            limit=limit,
            columns=chosen,
            json=json,
        )


def show_command(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run directory, or a run id (a unique beginning will do).")
    ],
    json: Json = False,
) -> None:
    """Show one run's record, on one page."""
    from repro_hydra.cli import show

    with told_plainly("show"):
        show.run(run, json=json)


def aggregate_command(
    dirs: Dirs,
    metric: Metric = None,
    by: By = None,
    where: Where = None,
    baseline: Baseline = None,
    worth_finding: WorthFinding = None,
    step: Annotated[
        bool, typer.Option("--step", help="A curve: a row for each step of what the runs logged.")
    ] = False,
    upheld: OnlyUpheld = False,
    strict: Strict = False,
    confidence: Confidence = 0.95,
    bootstrap: Bootstrap = None,
    all_columns: Annotated[
        bool,
        typer.Option(
            "--all-columns",
            help="Also the trimmed mean, the tolerance interval for 95 % of all seeds and a check for normality, which "
            "json and csv always have.",
        ),
    ] = False,
    trim: Annotated[
        float, typer.Option(metavar="SHARE", help="What the trimmed mean cuts at each end, below 0.5.")
    ] = TRIM,
    stable: Annotated[
        float,
        typer.Option(
            metavar="COV", min=0.0, help="The largest coefficient of variation that is called stable."
        ),
    ] = 0.1,
    tolerance: Annotated[
        float,
        typer.Option(
            metavar="COV",
            min=0.0,
            help="The largest coefficient of variation that is called within tolerance.",
        ),
    ] = 0.01,
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="table, json, csv, latex or markdown.")
    ] = "table",
    json: Json = False,
) -> None:
    """Aggregate over seeds: a row for each configuration and metric."""
    from repro_hydra.cli import aggregate

    with told_plainly("aggregate"):
        aggregate.run(
            dirs,
            metrics=metric or [],
            by=by or [],
            where=where,
            baseline=baseline,
            worth_finding=worth_finding,
            steps=step,
            upheld=upheld,
            strict=strict,
            confidence=confidence,
            bootstrap=bootstrap,
            besides=all_columns,
            trim=trim,
            stability_threshold=stable,
            tolerance=tolerance,
            form="json" if json else form,
        )


def report_command(
    dirs: Dirs,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE.html", help="Where the page goes.")
    ] = Path("report.html"),
    figures: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write each figure there too, as PDF, SVG and PNG, for a paper."),
    ] = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="The page's heading.")] = None,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="A config key that tells tasks apart: performance profiles are then over the tasks.",
        ),
    ] = None,
    task_range: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TASK=LOW:HIGH",
            help="What counts as 0 and as 1 of a task in the one --metric, where tasks are on different scales; HIGH "
            "below LOW where lower is better. Repeatable.",
        ),
    ] = None,
    metric: Metric = None,
    by: By = None,
    where: Where = None,
    baseline: Baseline = None,
    worth_finding: WorthFinding = None,
    upheld: OnlyUpheld = False,
    strict: Strict = False,
    confidence: Confidence = 0.95,
    bootstrap: Bootstrap = None,
    json: Json = False,
) -> None:
    """Report on runs: one self-contained HTML page with tables, figures, verdicts and provenance."""
    from repro_hydra.cli import report
    from repro_hydra.sweep.measuring import Options

    with told_plainly("report"):
        report.run(
            dirs,
            Options(
                metrics=metric or None,
                by=by or None,
                baseline=baseline,
                worth_finding=worth_finding,
                upheld_only=upheld,
                strict=strict,
                confidence=confidence,
                bootstrap=bootstrap,
            ),
            where=where,
            task=task,
            task_ranges=task_range or [],
            title=title,
            output=output,
            figures=figures,
            json=json,
        )


def doctor_command(json: Json = False) -> None:
    """Say what on this machine and in this project stands in the way of reproducibility, and how to mend it."""
    with told_plainly("doctor"):
        from repro_hydra.cli import doctor

        doctor.run(json=json)
