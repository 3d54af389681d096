"""What the commands that make a recorded run again share: what they ask, what they say, how they end."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from repro_hydra.cli.errors import NO, UserError
from repro_hydra.reproduce.again import NotConfirmed
from repro_hydra.reproduce.verdict import Judgement
from repro_hydra.reproduce.workshop import Asked
from repro_hydra.session.ending import terminating
from repro_hydra.sweep.table import clean

_ENVIRONMENTS = ("current", "rebuild")
_INTERRUPTED = 130


def asked_of(command: str, judgement: Judgement, *, env: str, output: Path | None, yes: bool) -> Asked:
    """What the user wants of the reproduction.

    Raises
    ------
    UserError
    """
    if env not in _ENVIRONMENTS:
        raise UserError(f"--env: expected one of {', '.join(_ENVIRONMENTS)}, found {env!r}")
    if shutil.which("git") is None:
        raise UserError("git: expected it on the PATH, found none: the run's code cannot be restored", NO)
    return Asked(
        judgement=judgement,
        environment="rebuild" if env == "rebuild" else "current",
        output=output,
        say=lambda line: _echo(f"{command}: {clean(line)}\n"),  # one write: jobs may speak at the same time
        echo=_echo,
        confirm=lambda line, reason: _confirm(line, reason, yes),
    )


@contextmanager
def running_again(command: str, reference: str) -> Iterator[None]:
    """While a run is made again: what a user can bring about, told plainly.

    Raises
    ------
    UserError
    """
    try:
        with terminating():
            yield
    except NotConfirmed as error:
        raise UserError(
            f"not run: {error}. If you trust that command and the code behind it: repro-hydra {command} --yes "
            f"{reference}"
        ) from None
    except KeyboardInterrupt:
        raise UserError("interrupted; the scratch folder is removed", _INTERRUPTED) from None
    except OSError as error:
        raise UserError(
            f"{error.filename}: the new run cannot be written ({error.strerror}). Choose another place: --output DIR"
        ) from None


def _echo(line: str) -> None:
    sys.stderr.write(line)
    sys.stderr.flush()


def _confirm(command: str, reason: str, yes: bool) -> bool:
    """Show the command; ask, unless the answer was given. Without a terminal nobody can be asked."""
    print(f"{reason}. It would run:\n\n    {clean(command)}\n", file=sys.stderr, flush=True)
    if yes:
        return True
    if not (sys.stdin is not None and os.isatty(0)):
        return False
    print(
        "Run it? Its code and its config can do whatever you can. [y/N] ", end="", file=sys.stderr, flush=True
    )
    return sys.stdin.readline().strip().lower() in ("y", "yes")
