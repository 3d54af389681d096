"""A Hydra program under a check writes where the check wants it, and leaves a record whether it asked or not."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Sequence
from typing import Any

from repro_hydra.check.inside.notes import Notes
from repro_hydra.imports import LateImports

_DIRECTED = "REPRO_HYDRA_CHECK_DIRECTED"
"""The process that was told where to write: its children (ranks, nested programs) inherit the variable, not the id."""


def install(directory: str, notes: Notes, late: LateImports) -> None:
    """Add the overrides at the place where Hydra has taken its arguments apart."""
    late.when_imported("hydra._internal.utils", lambda: _direct(directory, notes))


def _direct(directory: str, notes: Notes) -> None:
    utils: Any = sys.modules["hydra._internal.utils"]
    original = utils._run_hydra

    @functools.wraps(original)
    def run_hydra(args: Any, *given: Any, **named: Any) -> Any:
        already = os.environ.get(_DIRECTED)
        if already is None or already == str(os.getpid()):
            os.environ[_DIRECTED] = str(os.getpid())
            notes.write("hydra")
            args.overrides = [*args.overrides, *overrides(args.overrides, directory)]
        if "caller_stack_depth" in named:
            named["caller_stack_depth"] += 1
        return original(args, *given, **named)

    utils._run_hydra = run_hydra


def overrides(given: Sequence[str], directory: str) -> list[str]:
    """What is added to the overrides of the command line."""
    added = [f"hydra.run.dir={_quoted(directory)}", f"hydra.sweep.dir={_quoted(directory)}"]
    if not any(item.lstrip("+").partition("=")[0] == "repro" for item in given):
        added.insert(0, "+repro=record")
    return added


def _quoted(path: str) -> str:
    return "'" + path.replace("\\", "\\\\").replace("'", "\\'") + "'"
