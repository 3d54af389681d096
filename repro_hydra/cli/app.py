"""All commands; each command's work is in a module of its own, imported when it is used."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Annotated, Any

import typer

from repro_hydra.cli import looking, records
from repro_hydra.cli.options import PASSED_ON

_COMMANDS: dict[str, Callable[..., None]] = {
    "run": records.run_command,
    "list": looking.list_command,
    "show": looking.show_command,
    "aggregate": looking.aggregate_command,
    "report": looking.report_command,
    "doctor": looking.doctor_command,
    "verify": records.verify_command,
    "compare": records.compare_command,
    "explain": records.explain_command,
    "reproduce": records.reproduce_command,
    "prune": records.prune_command,
    "export": records.export_command,
    "resume": records.resume_command,
    "check": records.check_command,
}
_START_ANOTHER = frozenset({"run", "check"})
_GROUPS = ("data", "env", "track")
"""Each the module of this package that has its commands."""


def command_line(wanted: str | None = None) -> typer.Typer:
    """The whole of ``repro-hydra``, or no more of it than the command called `wanted` needs.

    To work out the options of all commands takes longer than to read an index of ten thousand runs. Where `wanted` is
    no command's name (an option, a slip) the whole is made, which knows what to say.
    """
    app = typer.Typer(
        name="repro-hydra",
        help="Runs that can be run again: look at their records, aggregate over seeds, reproduce.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_top)
    names = {wanted} if wanted in _COMMANDS or wanted in _GROUPS else {*_COMMANDS, *_GROUPS}
    for name, command in _COMMANDS.items():
        if name in names:
            settings: dict[str, Any] = PASSED_ON if name in _START_ANOTHER else {}
            app.command(name, context_settings=settings)(command)
    for name in _GROUPS:
        if name in names:
            app.add_typer(importlib.import_module(f"repro_hydra.cli.{name}").app, name=name)
    return app


def _version(asked: bool) -> None:
    if asked:
        from repro_hydra import __version__

        print(f"repro-hydra {__version__}")
        raise typer.Exit


def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Runs that can be run again: look at their records, aggregate over seeds, reproduce."""
