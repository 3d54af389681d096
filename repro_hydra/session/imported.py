"""The folders outside of the interpreter that this process imports modules from, and what leads there."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
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
    own, interpreter = Path(OURS).parent, {sys.prefix, sys.base_prefix, sys.exec_prefix}
    found: dict[Path, str] = {}
    for entry in filter(None, sys.path):
        folder = _absolute(entry)
        if folder == own or any(folder.is_relative_to(prefix) for prefix in interpreter):
            continue  # a console script has the interpreter's own bin folder there
        if folder.is_dir() and is_users(f"{folder}{os.sep}module.py"):
            found.setdefault(folder, "PYTHONPATH" if folder in by_variable else "sys.path")
    for name, module in list(sys.modules.items()):
        mapping = getattr(module, "MAPPING", None) if name.startswith(_EDITABLE) else None
        for package, place in (mapping or {}).items():
            if is_users(str(place)) and not f"{place}{os.sep}".startswith(OURS):
                found.setdefault(Path(place).parent, f"the editable install of {package}")
    return found


def _absolute(entry: str) -> Path:
    return Path(os.path.abspath(entry))  # noqa: PTH100 (`resolve` would follow links)
