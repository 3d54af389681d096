"""``repro-hydra env``: a lock of this environment, and exports in the formats of installers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from repro_hydra.cli.errors import told_plainly
from repro_hydra.cli.options import Json

app = typer.Typer(
    name="env",
    help="This environment: locked, verified against a lock, exported for pip, uv, conda and Docker.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Online = Annotated[
    bool,
    typer.Option(
        "--online",
        help="Ask the index for each package's file and hash, through pip or uv: what is installed tells neither.",
    ),
]
BaseImage = Annotated[
    str | None,
    typer.Option(
        metavar="IMAGE", help="Of the Dockerfile: NAME:TAG@sha256:DIGEST. By default python:VERSION-slim."
    ),
]
Command = Annotated[
    str | None,
    typer.Option(metavar="COMMAND", help="What the container runs: 'python train.py +repro=strict seed=3'."),
]


@app.command()
def snapshot(
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="By default repro-lock.json at the project's top."
        ),
    ] = None,
    online: Online = False,
) -> None:
    """Write a lock of this environment; runs of the project are held against it from then on."""
    from repro_hydra.cli import env_work

    with told_plainly("env snapshot"):
        env_work.snapshot(output, online=online)


@app.command()
def verify(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="A lock, or a record's environment.json. By default the project's lock."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Is this environment the locked one? Exit status 1 where a difference blocks or may change bits."""
    from repro_hydra.cli import env_work

    with told_plainly("env verify"):
        env_work.verify(file, json=json)


@app.command()
def export(
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="requirements, pylock, conda or dockerfile.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="By default standard output."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="LOCK|RUN", help="Export the environment of a lock or a run instead."),
    ] = None,
    online: Online = False,
    base_image: BaseImage = None,
    command: Command = None,
    requirements: Annotated[
        str,
        typer.Option(
            metavar="PATH", help="Where the Dockerfile finds the requirements, from the project's top."
        ),
    ] = "requirements.txt",
) -> None:
    """Write this environment, pinned, in a format that installs it."""
    from repro_hydra.cli import env_work

    with told_plainly("env export"):
        env_work.export(
            form,
            output,
            source=source,
            online=online,
            base_image=base_image,
            command=command,
            requirements=requirements,
        )


@app.command()
def setup(
    folder: Annotated[
        Path,
        typer.Option("--folder", metavar="DIR", help="Where the exports go, from the project's top."),
    ] = Path("environment"),
    online: Online = False,
    base_image: BaseImage = None,
    command: Command = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files there that this command did not write.")
    ] = False,
) -> None:
    """Write the project's lock and all exports at once, and say what to do next."""
    from repro_hydra.cli import env_work

    with told_plainly("env setup"):
        env_work.setup(folder, online=online, base_image=base_image, command=command, force=force)
