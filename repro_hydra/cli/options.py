"""Options that several commands share, each said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PASSED_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}
"""Settings of a command that starts another: what follows its first word is that command's own."""

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Where = Annotated[
    str | None,
    typer.Option(
        metavar="EXPR",
        help="Only runs for which this holds: \"config.lr<0.1 and result.accuracy>0.9 and status=='completed'\".",
    ),
]
Confidence = Annotated[float, typer.Option(metavar="LEVEL", help="Of the intervals, between 0 and 1.")]
Bootstrap = Annotated[
    int | None,
    typer.Option(
        metavar="RESAMPLES",
        min=100,
        help="Bootstrap intervals too, of the mean and of the interquartile mean; 2000 will do.",
    ),
]
Program = Annotated[
    list[str], typer.Argument(metavar="COMMAND...", help="The program and its arguments, after `--`.")
]
Dirs = Annotated[
    list[Path],
    typer.Argument(metavar="DIR...", help="Run or sweep directories, folders of them, or ids."),
]
Metric = Annotated[
    list[str] | None,
    typer.Option(metavar="M", help="A metric to show; repeatable. By default all of them."),
]
By = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY", help="A config key that makes a configuration; repeatable. By default all."),
]
Baseline = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Compare each configuration with this one: as the table shows it, KEY=VALUE, or its runs' name.",
    ),
]
WorthFinding = Annotated[
    float | None,
    typer.Option(
        metavar="DIFFERENCE",
        help="The smallest difference that matters, to say how many more seeds it takes; by default one "
        "standard deviation of the baseline.",
    ),
]
OnlyUpheld = Annotated[
    bool, typer.Option("--upheld", help="Leave out runs whose promise was not upheld, or not made.")
]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Refuse rows whose runs differ in code, data or environment (exit 1)."),
]
