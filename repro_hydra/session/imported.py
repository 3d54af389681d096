"""The folders outside of the interpreter that this process imports modules from, and how it stops to."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from repro_hydra.sites import OURS, is_users

_EDITABLE = "__editable__"
"""What setuptools calls the modules of its finders, whose ``MAPPING`` names the folder of each package."""


def import_folders(environ: Mapping[str, str]) -> dict[Path, str]:
    """Folder to reason. This package's own is not among them: the environment's record has its version and state.

    Under a test runner the answer is empty: it puts the folders of the tests there.
    """
    if "_pytest.config" in sys.modules:
        return {}
    by_variable = {_absolute(entry) for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry}
    found: dict[Path, str] = {}
    for entry in filter(None, sys.path):
        folder = _absolute(entry)
        if _stays(folder):
            continue  # a console script has the interpreter's own bin folder there
        if folder.is_dir() and is_users(f"{folder}{os.sep}module.py"):
            found.setdefault(folder, "PYTHONPATH" if folder in by_variable else "sys.path")
    for mapping in _finders():
        for package, place in mapping.items():
            if is_users(str(place)) and not f"{place}{os.sep}".startswith(OURS):
                found.setdefault(Path(place).parent, f"the editable install of {package}")
    return found


def no_longer_imported(trees: Iterable[str], *, but: str | None = None) -> None:
    """Take out of this process what leads into `trees`: entries of ``sys.path``, and editable installs.

    What was imported before stays. An environment inside of such a tree stays too, and so does this package.

    Parameters
    ----------
    trees : iterable of str
    but : str, optional
        A folder whose modules are imported on, wherever it lies.
    """
    real = [os.path.realpath(tree) for tree in trees]
    kept = None if but is None else os.path.realpath(but)

    def leads_there(place: str) -> bool:
        folder = Path(os.path.realpath(place))
        if _stays(folder) or (kept is not None and folder.is_relative_to(kept)):
            return False
        return any(folder.is_relative_to(tree) for tree in real)

    sys.path[:] = [entry for entry in sys.path if not entry or not leads_there(entry)]
    for mapping in _finders():
        for package in [name for name, place in mapping.items() if leads_there(str(place))]:
            del mapping[package]


def _finders() -> list[dict[str, str]]:
    """The package to folder of each editable install by an import hook."""
    found = [
        getattr(module, "MAPPING", None)
        for name, module in list(sys.modules.items())
        if name.startswith(_EDITABLE)
    ]
    return [mapping for mapping in found if isinstance(mapping, dict)]


def _stays(folder: Path) -> bool:
    """Whether it is the interpreter's, or holds this package."""
    interpreter = {sys.prefix, sys.base_prefix, sys.exec_prefix}
    return folder == Path(OURS).parent or any(folder.is_relative_to(prefix) for prefix in interpreter)


def _absolute(entry: str) -> Path:
    return Path(os.path.abspath(entry))  # noqa: PTH100 (`resolve` would follow links)
