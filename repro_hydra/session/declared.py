"""Which files the declared datasets of a run hold."""

from __future__ import annotations

import os
from pathlib import Path

from repro_hydra.data.ignore import Ignored, compile_ignore, is_left_out
from repro_hydra.data.project import dataset_path
from repro_hydra.record.data import DataRecord


class Declared:
    """What the declared datasets hold; what they ignore is in no digest, and so not declared."""

    def __init__(self, data: DataRecord, cwd: Path, root: str | None) -> None:
        self._folders: dict[str, Ignored | None] = {}
        for dataset in data.datasets:
            # What the task declared itself is relative to where the run was started.
            for path in (dataset_path(dataset.path, cwd, root), dataset_path(dataset.path, cwd)):
                for folder in (os.path.normpath(path), os.path.realpath(path)):
                    self._folders[folder] = compile_ignore(dataset.ignore)
        self._below = tuple(folder + os.sep for folder in self._folders)

    def holds(self, path: str) -> bool:
        if path in self._folders:
            return True
        if not path.startswith(self._below):
            return False
        return any(
            path.startswith(folder + os.sep)
            and not is_left_out(os.fsencode(path[len(folder) + 1 :]), ignored)
            for folder, ignored in self._folders.items()
        )
