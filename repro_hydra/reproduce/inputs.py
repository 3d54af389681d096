"""The files that a run reads by a path in its config, brought into the scratch tree, and datasets verified.

Data is seldom in git. What the config names, and the user's work tree has where the snapshot has not, is put at the
same place in the scratch tree: a folder anew, small files copied, large ones linked, so that what the job writes
beside them does not reach the user's.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from repro_hydra.code.repository import leave_out
from repro_hydra.data.describe import describe_dataset
from repro_hydra.data.errors import DataError
from repro_hydra.record.paths import RECORD_DIR
from repro_hydra.record.times import parse_utc
from repro_hydra.reproduce.original import Original
from repro_hydra.session.recorded import leaves

COPIED_BYTES = 8 << 20
"""A larger file is linked."""
_MOST_FILES = 200_000
_NEVER = frozenset(
    {".git", RECORD_DIR, ".hydra", "__pycache__", ".venv", "outputs", "multirun", "reproductions"}
)


@dataclass(slots=True)
class Inputs:
    """What was put into the scratch tree besides the code."""

    brought: list[str] = field(default_factory=list)
    """Relative to the run's working directory."""
    changed_since: list[str] = field(default_factory=list)
    """Those among them with a later date than the run's start."""


def bring_inputs(original: Original, user_cwd: Path | None, tree: Path, cwd: Path, scratch: Path) -> Inputs:
    """Put what the config names by a path into the scratch tree.

    Parameters
    ----------
    user_cwd : Path or None
        What the run's working directory is now, in the user's own work tree.
    tree, cwd : Path
        The scratch tree, and the working directory in it.
    scratch : Path
        Nothing is written outside of it.
    """
    inputs = Inputs()
    if user_cwd is None or original.config is None:
        return inputs
    started = _started(original)
    for name in _named_paths(original):
        source = Path(os.path.normpath(user_cwd / name))
        target = Path(os.path.normpath(cwd / name))
        if not target.is_relative_to(scratch) or tree.is_relative_to(target) or cwd.is_relative_to(target):
            continue
        if original.dir.is_relative_to(source) or source.is_relative_to(original.dir):
            continue  # the run's own output
        if not source.exists() or not _inside(target.parent, scratch):
            continue
        placed = []
        for from_file, to_file in _files(source, target):
            if os.path.lexists(to_file):
                continue  # it is in the snapshot
            place(from_file, to_file)
            placed.append(to_file)
            if started is not None and from_file.stat().st_mtime > started:
                inputs.changed_since.append(os.path.relpath(from_file, user_cwd))
        if placed:
            inputs.brought.append(name)
            leave_out(
                tree, [os.fsencode(file.relative_to(tree)) for file in placed if file.is_relative_to(tree)]
            )
    return inputs


def _named_paths(original: Original) -> list[str]:
    """Each text in the config that could be a path, relative to where the run was started."""
    assert original.config is not None
    cwd, repository = original.run.cwd, original.code.repository if original.code is not None else None
    found: dict[str, None] = {}
    for _, value in leaves(original.config.resolved):
        if not isinstance(value, str) or not value or "\0" in value or "\n" in value or len(value) > 4096:
            continue
        if os.path.isabs(value):  # noqa: PTH117
            # Of the project: `${hydra:runtime.cwd}/data` gives the scratch tree's path when it is composed anew.
            if not repository or not Path(os.path.normpath(value)).is_relative_to(repository):
                continue
            value = os.path.relpath(value, cwd)
        if os.path.normpath(value) != ".":
            found.setdefault(os.path.normpath(value))
    if original.data is not None:
        undeclared = [item for item in original.data.inputs if item.kind in ("file", "directory", "hub")]
        for path in (*(item.path for item in original.data.datasets), *(item.path for item in undeclared)):
            if not os.path.isabs(path):  # noqa: PTH117
                found.setdefault(os.path.normpath(path))
    return list(found)


def _files(source: Path, target: Path) -> Iterator[tuple[Path, Path]]:
    if source.is_file():
        yield source, target
        return
    count = 0
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(name for name in folders if name not in _NEVER)
        here = target / os.path.relpath(folder, source)
        for name in sorted(names):
            count += 1
            if count > _MOST_FILES:
                return
            if not name.endswith((".py", ".pyc")) and (Path(folder) / name).is_file():
                yield Path(folder, name), Path(os.path.normpath(here / name))


def place(source: Path, target: Path) -> None:
    """Put a file of the user's where nothing is yet: a copy, or a link where it is large."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.stat().st_size <= COPIED_BYTES:
        shutil.copy2(source, target)
    else:
        target.symlink_to(os.path.realpath(source))


def _inside(folder: Path, scratch: Path) -> bool:
    return Path(os.path.realpath(folder)).is_relative_to(scratch)


def _started(original: Original) -> float | None:
    try:
        return parse_utc(original.run.started_at or original.run.created_at).timestamp()
    except ValueError:
        return None


def changed_inputs(original: Original, base: Path) -> list[str]:
    """The files that the run read without declaring them and that are not as it found them, in sentences.

    Of a folder only those of its files that were read are in its digest, and the record does not list them.
    """
    problems = []
    for item in [] if original.data is None else original.data.inputs:
        if item.kind not in ("file", "run") or item.digest is None:
            continue
        path = base / item.path
        try:
            found = describe_dataset(item.path, path).digest
        except DataError as error:
            problems.append(f"{item.path}: {error}")
            continue
        if found != item.digest:
            problems.append(
                f"{item.path}: recorded {item.digest[:12]}, found {found[:12]}; it was not declared, so no version of "
                "it is kept. Get the old content back, or declare it: repro-hydra data add"
            )
    return problems


def changed_datasets(original: Original, base: Path | None) -> list[str]:
    """The datasets of ``data.json`` that are not as the run found them, in sentences.

    Parameters
    ----------
    base : Path or None
        What relative paths are relative to; None: they cannot be found.
    """
    problems = []
    for dataset in [] if original.data is None else original.data.datasets:
        if base is None and not os.path.isabs(dataset.path):  # noqa: PTH117
            problems.append(f"data: {dataset.name}: {dataset.path} is relative, and the project is not here")
            continue
        path = Path(dataset.path) if base is None else base / dataset.path
        try:
            found = describe_dataset(
                dataset.name,
                path,
                ignore=dataset.ignore,
                executable=dataset.executable,
                take_over=dataset.system is not None,
            )
        except DataError as error:
            problems.append(f"data: {dataset.name}: {error}")
            continue
        if found.digest != dataset.digest:
            problems.append(
                f"data: {dataset.name}: {path}: recorded {dataset.digest[:12]}, found {found.digest[:12]}. "
                f"Run: repro-hydra data diff {dataset.name}@{dataset.version} {path}"
            )
    return problems
