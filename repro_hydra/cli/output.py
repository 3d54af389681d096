"""What the commands print: one JSON document, or a table."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from pathlib import Path

from repro_hydra.record.places import known_places, project_of
from repro_hydra.record.store import encode


def print_json(value: object) -> None:
    """One JSON document on standard output, and nothing else."""
    sys.stdout.write(encode(value).decode())


def default_roots() -> list[Path]:
    """Every place that this project wrote to, as far as is known."""
    cwd = Path.cwd()
    return known_places(project_of(cwd), cwd=cwd)


def now() -> datetime:
    return datetime.now(timezone.utc)


def shorten_home(path: str) -> str:
    """A path relative to the working directory where it lies below it."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path
