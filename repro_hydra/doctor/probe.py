"""Looks at things in an interpreter of its own: Hydra's discovery, and each setting as strict puts it in force.

``python -c "from repro_hydra.doctor.probe import main; main()" WHAT`` prints one line of JSON. The doctor starts it
where the user would start a program, with the environment that strict gives one.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from repro_hydra.config import DeterminismConf
from repro_hydra.determinism.addresses import fixed_for_children
from repro_hydra.determinism.interpreter import required_variables

_COMMAND = "from repro_hydra.doctor.probe import main; main()"
_TIMEOUT_S = 120.0


class ProbeError(Exception):
    """The interpreter that was to look ended without an answer; the text is what it said last."""


def look_at(what: str, folder: Path) -> Any:
    """What a fresh interpreter in `folder` finds: ``discovery`` or ``settings``.

    Raises
    ------
    ProbeError
        It ended otherwise than well, or not at all.
    """
    environ = {**os.environ, **required_variables(DeterminismConf(), os.environ)}
    try:
        with fixed_for_children():
            done = subprocess.run(  # noqa: PLW1510 (its status is looked at below)
                [sys.executable, "-c", _COMMAND, what],
                cwd=folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TIMEOUT_S,
            )
    except subprocess.TimeoutExpired:
        raise ProbeError(f"no answer within {_TIMEOUT_S:.0f} s") from None
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        said = done.stderr.strip().splitlines()
        raise ProbeError(said[-1] if said else f"exit status {done.returncode}")
    return json.loads(lines[-1])


def discovery() -> dict[str, Any]:
    """The groups and launchers that a Hydra program started here finds, and why ours may be missing."""
    import warnings

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        from hydra.core.config_store import ConfigStore
        from hydra.core.plugins import Plugins

        Plugins.instance()
    groups = ConfigStore.instance().repo
    namespace = sys.modules.get("hydra_plugins")
    return {
        "modes": _options(groups.get("repro", {})),
        "launchers": _options(groups.get("hydra", {}).get("launcher", {})),
        "shadowed_by": getattr(namespace, "__file__", None),
        "places": [str(place) for place in getattr(namespace, "__path__", [])],
        "warnings": [str(warning.message) for warning in told if "hydra_plugins" in str(warning.message)],
    }


def _options(group: dict[str, Any]) -> list[str]:
    return sorted(name.removesuffix(".yaml") for name in group if name.endswith(".yaml"))


def settings() -> dict[str, Any]:
    """Each setting as strict asks for it, with the libraries that are installed imported."""
    from repro_hydra.determinism import SettingsWatch
    from repro_hydra.imports import LateImports

    late = LateImports()
    late.install()
    watch = SettingsWatch(DeterminismConf(), late.when_imported)
    for library in ("numpy", "torch"):
        if importlib.util.find_spec(library) is not None:
            importlib.import_module(library)
    watch.enter()
    torch = sys.modules.get("torch")
    return {
        "settings": [
            {"name": row.name, "asked": row.asked, "found": row.entry, "in_force": row.in_force}
            for row in watch.record().settings
        ],
        "findings": [
            {"id": finding.id, "severity": finding.severity, "message": finding.message}
            for finding in watch.entry_findings()
        ],
        "torch": None if torch is None else str(torch.__version__),
        "torch_sees_gpus": None if torch is None else bool(torch.cuda.is_available()),
    }


def main() -> None:
    """Print what is asked for by the first argument."""
    looks = {"discovery": discovery, "settings": settings}
    print(json.dumps(looks[sys.argv[1]]()))
