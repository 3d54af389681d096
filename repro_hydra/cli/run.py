"""``repro-hydra run -- COMMAND``: start a program with the right environment at once."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from repro_hydra.cli.errors import UserError
from repro_hydra.config import DeterminismConf
from repro_hydra.determinism import required_variables
from repro_hydra.determinism.addresses import fix_for_next_program

_THREADS = "hydra.callbacks.repro.determinism.threads="


def environment_for(
    command: Sequence[str], environ: Mapping[str, str], threads: int | None = None
) -> dict[str, str]:
    """The environment in which `command` needs no second start.

    Parameters
    ----------
    command : sequence of str
        Its overrides are looked at for the number of threads.
    threads : int, optional
        Beats what the command says; 1, strict's default, where neither says anything.
    """
    count = threads if threads is not None else threads_in(command)
    options = DeterminismConf(threads=1 if count is None else count)
    return {**environ, **required_variables(options, environ)}


def threads_in(command: Sequence[str]) -> int | None:
    """The thread count among the command's overrides; None where it names none."""
    for argument in reversed(command):
        name, _, value = argument.lstrip("+").partition("=")
        if f"{name}=" == _THREADS and value.isdigit():
            return int(value)
    return None


def start(command: Sequence[str], environ: Mapping[str, str], threads: int | None = None) -> NoReturn:
    """Replace this process by `command`.

    Raises
    ------
    UserError
        For a program that is not there.
    """
    program = shutil.which(command[0], path=environ.get("PATH"))
    if program is None:
        raise UserError(f"{command[0]}: no such program on PATH")
    sys.stdout.flush()
    fix_for_next_program()
    os.execve(program, list(command), environment_for(command, environ, threads))  # noqa: S606 (no shell wanted)
