"""``repro-hydra track``: mirrors of the record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from repro_hydra.cli.errors import NO, told_plainly
from repro_hydra.cli.options import Json

app = typer.Typer(
    name="track",
    help="Trackers: mirrors of the record.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _top() -> None:
    """Trackers: mirrors of the record."""


@app.command("sync")
def sync_command(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run or sweep directories, folders of them, or ids."),
    ],
    only: Annotated[
        list[str] | None, typer.Option(metavar="TRACKER", help="Only this tracker; repeatable.")
    ] = None,
    json: Json = False,
) -> None:
    """Send to the trackers what could not be sent, once."""
    from repro_hydra.cli import track_work

    with told_plainly("track sync"):
        if not track_work.sync(track_work.runs_below(runs), only=only or [], json=json):
            raise typer.Exit(NO)
