"""``repro-hydra check``: is a command reproducible, and if not, why."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from repro_hydra.check.checking import Asked, check
from repro_hydra.check.document import Check
from repro_hydra.check.places import TooLarge
from repro_hydra.cli.errors import NO, UserError
from repro_hydra.cli.output import print_json
from repro_hydra.cli.run import options_in
from repro_hydra.determinism import required_variables
from repro_hydra.session.ending import terminating
from repro_hydra.sweep.table import Column, clean, lay_out

_INTERRUPTED = 130
_MOST = 10
_COLUMNS = (
    Column("metric"),
    Column("values", right=True),
    Column("min", right=True),
    Column("max", right=True),
    Column("std", right=True),
)


def run(
    command: Sequence[str], *, runs: int, extra_runs: int, ignore: Sequence[str], keep: bool, json: bool
) -> None:
    """The command."""
    if shutil.which(command[0]) is None:
        raise UserError(f"{command[0]}: no such program on PATH")
    asked = Asked(
        command=command,
        runs=runs,
        extra_runs=extra_runs,
        ignore=tuple(ignore),
        keep=keep,
        strict=_wanted_by_strict(command),
        cwd=Path.cwd(),
        environ=dict(os.environ),
        say=_say,
        echo=_echo,
    )
    try:
        with terminating():
            answer = check(asked)
    except TooLarge as error:
        raise UserError(str(error)) from None
    except KeyboardInterrupt:
        raise UserError("interrupted; the scratch folder is removed", _INTERRUPTED) from None
    except OSError as error:
        raise UserError(f"{error.filename or 'the runs'}: {error.strerror or error}") from None
    if json:
        print_json(answer)
    else:
        sys.stdout.write("".join(f"{line}\n" for line in page(answer)))
        sys.stdout.flush()
    if not answer.reproducible:
        raise SystemExit(NO)


def _wanted_by_strict(command: Sequence[str]) -> dict[str, str] | None:
    if not any(item.lstrip("+") == "repro=strict" for item in command):
        return None
    return required_variables(options_in(command), os.environ)


def page(answer: Check) -> list[str]:
    """The answer in lines for people."""
    lines: list[str] = []
    if answer.spread:
        rows = [
            (item.metric, f"{item.distinct} of {item.n} differ" if item.distinct > 1 else "equal",
             _number(item.min), _number(item.max), _number(item.std))
            for item in answer.spread
        ]  # fmt: skip
        lines += [*lay_out(_COLUMNS, rows).splitlines(), ""]
    first = answer.first_divergence
    if first is not None:
        step = "" if first.step is None else f" at step {first.step}"
        values = f": {first.a} and {first.b}" if first.a is not None or first.b is not None else ""
        detail = f" ({first.detail})" if first.detail else ""
        who = f"runs {first.runs[0]} and {first.runs[1]}"
        lines.append(f"first divergence: {who}, {first.where}, {first.name}{step}{values}{detail}")
    lines += [
        f"{'cause' if number == 0 else '  and'}: {cause.area}: {cause.detail}"
        for number, cause in enumerate(answer.causes[:_MOST])
    ]
    lines += [f"not varied: {name}: {why}" for name, why in answer.not_varied.items()]
    if answer.not_compared:
        shown = ", ".join(answer.not_compared[:_MOST])
        more = len(answer.not_compared) - _MOST
        lines.append(
            f"not compared: written in the project, outside of the run's directory: {shown}"
            f"{f' and {more} more' if more > 0 else ''}"
        )
    if answer.extra_runs:
        lines.append(f"{answer.extra_runs} more runs were made to find the cause")
    if answer.kept:
        lines.append(f"kept: {answer.kept}")
    lines.append(answer.headline)
    return [clean(line) for line in lines]


def _number(value: object) -> str:
    return "—" if value is None else f"{value:.9g}" if isinstance(value, float) else str(value)


def _say(line: str) -> None:
    _echo(f"check: {clean(line)}\n")


def _echo(line: str) -> None:
    sys.stderr.write(line)
    sys.stderr.flush()
