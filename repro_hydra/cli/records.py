"""The options of the commands that run something, and of those that ask whether a run can be run again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from repro_hydra.cli.errors import told_plainly
from repro_hydra.cli.options import Json, Program


def run_command(
    command: Program,
    threads: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Threads of the numeric libraries; by default what COMMAND says, or 1."
        ),
    ] = None,
) -> None:
    """Start COMMAND with the right environment at once, so that no second start is needed."""
    from repro_hydra.cli import run

    with told_plainly("run"):
        run.start(command, os.environ, threads)


def verify_command(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Run or sweep directories, or run ids.")
    ],
    manifest: Annotated[
        str | None,
        typer.Option(metavar="DIGEST", help="The manifest's digest, from where it was kept; for one run."),
    ] = None,
    json: Json = False,
) -> None:
    """Verify records: unchanged, code to be had, data as it was, this environment equal."""
    from repro_hydra.cli import verify

    with told_plainly("verify"):
        verify.run(runs, manifest=manifest, json=json)


def compare_command(
    runs: Annotated[list[str], typer.Argument(metavar="A B...", help="Run directories, or run ids.")],
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AREA",
            help="config, code, environment, hardware, data, determinism, seed, metrics or files; repeatable.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Compare runs: in what they differ, the likeliest explanation of a differing result first."""
    from repro_hydra.cli import compare

    with told_plainly("compare"):
        compare.run(runs, only=only or [], json=json)


def explain_command(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="A B|RUN", help="Two run directories or ids; one of them with --rerun."),
    ],
    rerun: Annotated[
        bool, typer.Option("--rerun", help="Make the one RUN again, and hold it against that.")
    ] = False,
    bisect: Annotated[
        bool,
        typer.Option(
            "--bisect", help="With --rerun: find the operator by which the run differs from itself."
        ),
    ] = False,
    env: Annotated[str, typer.Option(metavar="WHICH", help="Of reruns; as for reproduce.")] = "current",
    yes: Annotated[
        bool, typer.Option("--yes", help="Run a record that nobody vouches for, without being asked.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where reruns go; by default reproductions/.")
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Files and metrics to leave out (a time, say); repeatable."),
    ] = None,
    json: Json = False,
) -> None:
    """Explain why runs differ: the first step, stage, tensor and operator that differ, then the likely cause."""
    from repro_hydra.cli import explain

    with told_plainly("explain"):
        explain.run(
            runs,
            rerun=rerun,
            bisect=bisect,
            env=env,
            yes=yes,
            output=output,
            ignore=tuple(ignore or ()),
            json=json,
        )


def export_command(
    run: Annotated[str, typer.Argument(metavar="RUN|SWEEP", help="A run or sweep directory, or an id.")],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="DIR|ZIP", help="A name that is free; a file if it ends in .zip."
        ),
    ],
    anonymous: Annotated[
        bool,
        typer.Option(
            "--anonymous", help="Take out user, host, home paths, authors and remote, and list what went."
        ),
    ] = False,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Files of the runs to leave out ('*.ckpt'); repeatable."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Export although something looks like a secret.")
    ] = False,
    json: Json = False,
) -> None:
    """Export for another lab: record, code, environment and results as a Workflow Run RO-Crate."""
    from repro_hydra.cli import export

    with told_plainly("export"):
        export.run(run, output, anonymous=anonymous, exclude=exclude or [], yes=yes, json=json)


def reproduce_command(
    run: Annotated[
        str,
        typer.Argument(metavar="RUN|SWEEP|EXPORT", help="A run or sweep directory, an id, or an export."),
    ],
    env: Annotated[
        str,
        typer.Option(
            metavar="WHICH",
            help="current: this environment, compared with the recorded one; rebuild: one made from the recorded pins.",
        ),
    ] = "current",
    rtol: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            min=0.0,
            help="Relative tolerance of every metric; by default what the run's config says, or 1e-5.",
        ),
    ] = None,
    atol: Annotated[
        float | None,
        typer.Option(
            metavar="Y",
            min=0.0,
            help="Absolute tolerance of every metric; by default what the run's config says, or 1e-8.",
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(metavar="N", min=1, help="Jobs of a sweep at a time.")] = 1,
    yes: Annotated[
        bool, typer.Option("--yes", help="Run a record that nobody vouches for, without being asked.")
    ] = False,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Files and metrics to leave out of the comparison; repeatable."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where new runs go; by default reproductions/ of this project."),
    ] = None,
    json: Json = False,
) -> None:
    """Run a record again, from its own code and config, and say if it is the same."""
    from repro_hydra.cli import reproduce

    with told_plainly("reproduce"):
        reproduce.run(
            run,
            env=env,
            rtol=rtol,
            atol=atol,
            jobs=jobs,
            yes=yes,
            ignore=ignore or [],
            output=output,
            json=json,
        )


def resume_command(
    sweep: Annotated[str, typer.Argument(metavar="SWEEP", help="A sweep directory, or a sweep id.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which jobs are meant.")] = False,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            help="Go on with a sweep that this user's key does not vouch for, or whose process elsewhere is gone.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Submit again what failed, was lost or never ran, with the code and the configs that the sweep began with."""
    from repro_hydra.cli import resume

    with told_plainly("resume"):
        resume.run(sweep, dry_run=dry_run, yes=yes, json=json)


def check_command(
    command: Program,
    runs: Annotated[int, typer.Option(metavar="N", min=2, help="How many runs are compared.")] = 3,
    extra_runs: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Where runs differ, at most so many more to find out why; 0 for none."
        ),
    ] = 12,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Files to leave out of the comparison; repeatable."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep what the runs wrote, and say where.")] = False,
    json: Json = False,
) -> None:
    """Run COMMAND several times under conditions that must not matter: is it reproducible, and if not, why."""
    from repro_hydra.cli import check

    with told_plainly("check"):
        check.run(command, runs=runs, extra_runs=extra_runs, ignore=ignore or [], keep=keep, json=json)


def prune_command(
    roots: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[ROOT]...", help="Folders with records, besides those that are known."),
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Only what is older: 30d, 12h. For records 30d if not given."),
    ] = None,
    records: Annotated[
        bool,
        typer.Option("--records", help="Drop old records too (.repro folders; what the runs wrote stays)."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and drop nothing.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also where a place that may hold records is out of reach.")
    ] = False,
    freeze_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where sweeps were frozen, if not in the cache folder.")
    ] = None,
    json: Json = False,
) -> None:
    """Drop snapshots that no record refers to, what killed sweeps left behind, and old records on request."""
    from repro_hydra.cli import prune

    with told_plainly("prune"):
        prune.run(
            roots or [],
            older_than=older_than,
            records=records,
            dry_run=dry_run,
            force=force,
            freeze_dir=freeze_dir,
            json=json,
        )
