"""``repro-hydra data``: dataset versions."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro_hydra.cli.errors import MISUSE, NO, UserError, told_plainly
from repro_hydra.cli.options import Json

if TYPE_CHECKING:  # other commands import this module too, and need not wait for what it works with
    from repro_hydra.data.read import Progress
    from repro_hydra.record.data import DataDiff, DataVerdict, DataVersion

_INTERRUPTED = 130

app = typer.Typer(
    name="data",
    help="Versions of datasets, called by their content.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Paranoid = Annotated[
    bool, typer.Option("--paranoid", help="Read every file, also those that nobody seems to have written to.")
]
Project = Annotated[
    Path | None,
    typer.Option("--project", help="The folder that holds repro-data; by default the one around here."),
]


@app.command()
def add(
    path: Annotated[Path, typer.Argument(help="A file or a folder.")],
    name: Annotated[str | None, typer.Option("--name", help="By default the last part of its path.")] = None,
    description: Annotated[
        str | None, typer.Option("-m", "--description", "--message", help="What it is, in a few words.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Where it came from: an address, a DOI.")] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(help="Leave out names or paths like this ('*.tmp', 'cache/'); repeatable."),
    ] = None,
    executable: Annotated[
        bool,
        typer.Option("--executable/--no-executable", help="Whether executable bits are part of the version."),
    ] = True,
    paranoid: Paranoid = False,
    project: Project = None,
    json: Json = False,
) -> None:
    """Register what lies at PATH as a version."""
    from repro_hydra import data

    with _answering("add"):
        with _progress() as progress:
            version = data.data_add(
                path,
                name,
                description,
                source=source,
                ignore=ignore or (),
                executable=executable,
                paranoid=paranoid,
                project=project,
                progress=progress,
            )
        if json:
            _print_json(data.document(version))
        else:
            _print_version(version)


@app.command("list")
def list_versions(project: Project = None, json: Json = False) -> None:
    """All registered versions, newest first."""
    from repro_hydra import data

    with _answering("list"):
        versions = data.data_list(project=project)
        if json:
            _print_json([data.document(version) for version in versions])
        elif versions:
            _print_table(versions)
        else:
            print("No dataset is registered. Run: repro-hydra data add PATH")


@app.command()
def show(
    reference: Annotated[
        str, typer.Argument(metavar="NAME[@VERSION]", help="Or a version alone, or its beginning.")
    ],
    project: Project = None,
    json: Json = False,
) -> None:
    """One version; of a name, its newest."""
    from repro_hydra import data

    with _answering("show"):
        version = data.data_show(reference, project=project)
        if json:
            _print_json(data.document(version))
        else:
            _print_version(version)


@app.command()
def verify(
    reference: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME[@VERSION]]", help="A name, NAME@VERSION or a version; all of them with --all."
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All datasets (what happens without NAME).")
    ] = False,
    paranoid: Paranoid = False,
    project: Project = None,
    json: Json = False,
) -> None:
    """Is the data on disk what was registered? Exit status 1 where it is not."""
    from repro_hydra import data
    from repro_hydra.record.data import DataFinding, DataVerdict

    with _answering("verify"):
        if everything and reference is not None:
            raise UserError(f"expected a name or --all, found both --all and {reference}")
        try:
            with _progress() as progress:
                verdict = data.data_verify(reference, paranoid=paranoid, project=project, progress=progress)
        except data.DataMisuse:
            raise
        except data.DataError as error:
            remedy = "repair the registry as the message says"
            finding = DataFinding(id="data-registry", severity="blocks", message=str(error), remedy=remedy)
            verdict = DataVerdict(ok=False, findings=[finding])
        if json:
            _print_json(verdict)
        else:
            _print_verdict(verdict)
    raise typer.Exit(0 if verdict.ok else NO)


@app.command()
def diff(
    a: Annotated[str, typer.Argument(metavar="V1", help="NAME, NAME@VERSION or VERSION.")],
    b: Annotated[
        str | None, typer.Argument(metavar="[V2]", help="By default what lies at V1's path now.")
    ] = None,
    project: Project = None,
    json: Json = False,
) -> None:
    """Files added, removed, changed and renamed from V1 to V2. Exit status 1 where they differ."""
    from repro_hydra import data

    with _answering("diff"):
        with _progress() as progress:
            difference = data.data_diff(a, b, project=project, progress=progress)
        if json:
            _print_json(difference)
        else:
            _print_diff(difference)
    raise typer.Exit(0 if difference.same else NO)


@contextlib.contextmanager
def _answering(command: str) -> Iterator[None]:
    """Errors as a message and an exit status: 2 for what makes no sense, 1 for what could not be done."""
    from repro_hydra.data.errors import DataError, DataMisuse

    with told_plainly(f"data {command}"):
        try:
            yield
        except DataError as error:
            raise UserError(str(error), MISUSE if isinstance(error, DataMisuse) else NO) from None
        except BrokenPipeError:
            raise
        except OSError as error:
            raise UserError(f"{error.filename or 'data'}: {error.strerror or error}", NO) from None
        except KeyboardInterrupt:
            raise UserError("interrupted; the registry is as it was", _INTERRUPTED) from None


@contextlib.contextmanager
def _progress() -> Iterator[Progress | None]:
    """A bar on stderr for what takes long, where somebody watches; nothing anywhere else."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


def _print_json(value: object) -> None:
    from repro_hydra.cli.output import print_json

    print_json(value)


def _print_version(version: DataVersion) -> None:
    print(f"{_line(version.name)}@{version.version}")
    print(f"  path         {_line(version.path)}")
    print(f"  content      {_counted(version)}")
    print(f"  digest       {version.digest}")
    print(f"  created      {version.created_at}")
    if version.source:
        print(f"  source       {_line(version.source)}")
    if version.ignore:
        print(f"  ignored      {' '.join(version.ignore)}")
    for description in version.descriptions:
        print(f"  description  {_line(description)}")


def _print_table(versions: Sequence[DataVersion]) -> None:
    rows = [("name", "version", "content", "path", "created", "description")]
    for v in versions:
        created = v.created_at[:19] + "Z"
        description = _line("; ".join(v.descriptions))
        rows.append((_line(v.name), v.version, _counted(v), _line(v.path), created, description))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _print_verdict(verdict: DataVerdict) -> None:
    for finding in verdict.findings:
        print(f"{finding.id}\n  {finding.message}\n  remedy: {finding.remedy}")
    if not verdict.findings:
        print("unchanged")


def _print_diff(difference: DataDiff) -> None:
    if difference.same:
        print(f"{difference.a} and {difference.b} hold the same")
        return
    for mark, paths in (("+", difference.added), ("-", difference.removed), ("~", difference.changed)):
        for path in paths:
            print(f"{mark} {path}")
    for pair in difference.renamed:
        print(f"> {pair.old} -> {pair.new}")
    counts = (
        f"{len(difference.added)} added, {len(difference.removed)} removed, {len(difference.changed)} changed"
    )
    print(f"{difference.a} to {difference.b}: {counts}, {len(difference.renamed)} renamed")


def _line(text: str) -> str:
    """On one line, without control characters: what a registry says may come from anybody."""
    from repro_hydra.data.errors import shown

    return shown(text.encode("utf-8", "surrogateescape"))


def _counted(version: DataVersion) -> str:
    size = float(version.size_bytes)
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    power = 0
    while size >= 1024 and power < len(units) - 1:
        size, power = size / 1024, power + 1
    number = f"{size:.0f}" if power == 0 else f"{size:.1f}"
    return f"{version.files} file{'' if version.files == 1 else 's'}, {number} {units[power]}"
