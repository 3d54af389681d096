"""Where a project begins, and where its datasets lie."""

from __future__ import annotations

import os
from pathlib import Path

from repro_hydra.data.errors import DataMisuse, shown
from repro_hydra.data.registry import FOLDER


def find_project(start: Path) -> Path:
    """The nearest folder at or above `start` that has a registry; else the git repository; else `start`."""
    start = Path(os.path.realpath(start))
    above = [start, *start.parents]
    for folder in above:
        if (folder / FOLDER / "registry.jsonl").exists():
            return folder
    for folder in above:
        if (folder / ".git").exists():
            return folder
    return start


def registered_path(path: Path, project: Path) -> str:
    """How the registry writes `path`: relative to the project where it lies below it, so that clones agree.

    Raises
    ------
    DataMisuse
        A name that is not UTF-8 (the registry is text), or a folder that holds the registry itself, whose
        digest would change by being written down.
    """
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 (a link stays a link: it may point elsewhere tomorrow)
    try:
        absolute.as_posix().encode("utf-8")
    except UnicodeEncodeError:
        raise DataMisuse(
            f"{shown(os.fsencode(absolute))}: the dataset's own path must be UTF-8 to be registered. "
            "Rename it, or register a folder above it"
        ) from None
    folder = Path(os.path.realpath(project / FOLDER))
    if folder.is_relative_to(os.path.realpath(absolute)):
        raise DataMisuse(
            f"{absolute}: holds {folder}, the registry itself. Add the folder with the data in it"
        )
    for base in (Path(os.path.abspath(project)), Path(os.path.realpath(project))):  # noqa: PTH100
        if absolute.is_relative_to(base):
            return absolute.relative_to(base).as_posix()
    return absolute.as_posix()


def dataset_path(path: str, base: Path, root: str | None = None) -> Path:
    """Where a declared dataset lies: relative to `root`, which is itself relative to `base`."""
    return base / Path(root or "").expanduser() / Path(path).expanduser()
