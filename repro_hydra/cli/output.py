"""What the commands print: one JSON document, or a table."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from repro_hydra.cli.errors import UserError
from repro_hydra.record.find import resolve
from repro_hydra.record.paths import RECORD_DIR
from repro_hydra.record.places import known_places, project_of
from repro_hydra.record.store import encode


def print_json(value: object) -> None:
    """One JSON document on standard output, and nothing else."""
    try:
        data = encode(value)
    except UnicodeEncodeError:
        # A path that is no UTF-8: as an escape it is JSON, and whoever reads it gets the same path.
        data = json.dumps(msgspec.to_builtins(value), indent=2, allow_nan=False).encode() + b"\n"
    sys.stdout.flush()
    sys.stdout.buffer.write(data)  # JSON is UTF-8, whatever the terminal speaks
    sys.stdout.flush()


def default_roots() -> list[Path]:
    """Every place that this project wrote to, as far as is known."""
    cwd = Path.cwd()
    return known_places(project_of(cwd), cwd=cwd)


def folders(given: Sequence[Path]) -> list[Path]:
    """The folders that somebody named: as they are, or by the id of a run or sweep in them.

    Raises
    ------
    UserError
        For a file.
    UnresolvedReference
        For what is neither a folder nor an id.
    """
    found = []
    for path in given:
        if path.is_dir():
            # `.repro` stands for the run that it is the record of.
            found.append(path.absolute().parent if path.name == RECORD_DIR else path)
        elif path.exists():
            raise UserError(f"{path}: expected a folder, found a file")
        else:
            found.append(Path(resolve(str(path), default_roots()).dir))
    return found


def run_called(reference: str) -> Path:
    """The directory of the run that somebody named.

    Raises
    ------
    UserError
        It is a sweep.
    UnresolvedReference
        There is none.
    """
    located = resolve(reference, default_roots())
    if located.kind == "sweep":
        raise UserError(
            f"{reference}: expected a run, found a sweep. Its jobs: repro-hydra list {located.dir}"
        )
    return Path(located.dir)


def now() -> datetime:
    return datetime.now(timezone.utc)


def shorten_home(path: str, base: str | None = None) -> str:
    """A path relative to `base` (the working directory if not given) where it lies below it."""
    base = base or os.getcwd()  # noqa: PTH109 (a string is wanted)
    return path[len(base) + 1 :] if path.startswith(f"{base}{os.sep}") else path
