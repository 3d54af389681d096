"""``repro-hydra run -- COMMAND``: start a program with the right environment at once."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NoReturn

import msgspec

from repro_hydra.cli.errors import UserError
from repro_hydra.config import DeterminismConf
from repro_hydra.determinism import required_variables
from repro_hydra.determinism.addresses import fix_for_next_program

_OPTION = "hydra.callbacks.repro.determinism."


def environment_for(
    command: Sequence[str], environ: Mapping[str, str], threads: int | None = None
) -> dict[str, str]:
    """The environment in which `command` needs no second start.

    Parameters
    ----------
    command : sequence of str
        Its overrides are looked at for what strict's own options must have at the start.
    threads : int, optional
        Beats what the command says; 1, strict's default, where neither says anything.
    """
    options = options_in(command)
    if threads is not None:
        options = replace(options, threads=threads)
    return {**environ, **required_variables(options, environ)}


def options_in(command: Sequence[str]) -> DeterminismConf:
    """Strict's options with those that the command overrides; what the program will not take is left to it."""
    given: dict[str, object] = {}
    for argument in command:
        name, equals, value = argument.lstrip("+").partition("=")
        if equals and name.startswith(_OPTION):
            given[name.removeprefix(_OPTION)] = None if value in ("null", "None", "") else value.strip("'\"")
    known = DeterminismConf()
    for option, asked in given.items():
        try:
            known = msgspec.convert(
                {**msgspec.to_builtins(known), option: asked}, DeterminismConf, strict=False
            )
        except msgspec.ValidationError:
            continue
    return known


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
