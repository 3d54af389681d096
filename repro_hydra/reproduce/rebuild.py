"""A virtual environment with the recorded packages, by uv or, where that is missing, by pip."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from repro_hydra.environment.circumstances import canonical
from repro_hydra.environment.distributions import local_path
from repro_hydra.environment.exports.requirements import line_of
from repro_hydra.environment.pins import Pin, pins_of
from repro_hydra.record.environment import Distribution
from repro_hydra.reproduce.original import Original
from repro_hydra.reproduce.process import Python

_OURS = "repro-hydra"
_AT_START = "repro_hydra_inputs.pth"
"""Read when an interpreter starts: what a job's Python children open, and the top of its script."""
_LIMIT_S = 3600


class RebuildFailed(Exception):
    """The environment cannot be made; the text says all that is in the way."""


def requirements_of(distributions: Sequence[Distribution]) -> tuple[list[str], list[str]]:
    """Requirements that give these distributions, and what no requirement can give.

    `pins_of` checks every name, version and address: they come from a record, and go to a program that installs.
    What was editable is not among them: its code is in the snapshot where it is the project's own; else its import
    will tell.
    """
    pins = pins_of([item for item in distributions if not item.editable and canonical(item.name) != _OURS])
    requirements, problems = [], list(pins.problems)
    for pin in pins.pins:
        if pin.here_only and (pin.source == "directory" or not _is_here(pin)):
            problems.append(
                f"{pin.name} {pin.version} was installed from {pin.url}, of the machine of the run"
            )
        else:
            requirements.append(line_of(pin))
    return requirements, problems


def _is_here(pin: Pin) -> bool:
    place = local_path((pin.url or "").removeprefix("git+"))
    return place is not None and place.exists()


def rebuilt_python(original: Original, folder: Path, tree: Path) -> Python:
    """Make the environment in `folder`.

    Raises
    ------
    RebuildFailed
    """
    if original.distributions is None or original.environment is None:
        raise RebuildFailed("the record does not hold the list of packages")
    requirements, problems = requirements_of(original.distributions)
    if problems:
        raise RebuildFailed("; ".join(problems))
    version = original.environment.interpreter.version
    if not re.fullmatch(r"\d+\.\d+\.\d+\w*", version):
        raise RebuildFailed(f"{version!r} is no version of Python")
    file = folder.with_suffix(".txt")
    file.write_text("".join(f"{line}\n" for line in requirements))
    uv = shutil.which("uv")
    minor = ".".join(version.split(".")[:2])
    # uv takes the first of the minor version that it comes across: where ours is the very one, ours.
    wanted = sys.executable if version == platform.python_version() else minor
    if uv is not None:
        _run([uv, "venv", "-q", "--python", wanted, str(folder)], f"Python {minor}")
        python = _python_in(folder)
        _run(
            [uv, "pip", "install", "-q", "--no-deps", "--python", str(python), "-r", str(file)],
            "the packages",
        )
    else:
        base = _base_python(minor)
        _run([base, "-m", "venv", str(folder)], "a virtual environment")
        python = _python_in(folder)
        _run([str(python), "-m", "pip", "install", "-q", "--no-deps", "-r", str(file)], "the packages")
    _put_ourselves(python)
    editable = [
        item.url.removeprefix("file://")
        for item in original.distributions
        if item.editable and item.url and item.url.startswith("file://")
    ]
    repository = original.code.repository if original.code is not None else None
    own = [Path(path) for path in editable if repository and Path(path).is_relative_to(repository)]
    roots = [tree / path.relative_to(repository) for path in own] if repository else []
    search = [str(place) for root in roots for place in (root / "src", root) if place.is_dir()]
    _write_search_path(python, search)
    return Python(executable=str(python), bin_dir=python.parent)


def _python_in(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _base_python(minor: str) -> str:
    if minor == f"{sys.version_info[0]}.{sys.version_info[1]}":
        return sys.executable
    found = shutil.which(f"python{minor}")
    if found is None:
        raise RebuildFailed(
            f"Python {minor}: recorded, and not on the PATH. Install it, or uv, which fetches it"
        )
    return found


def _run(command: list[str], what: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RebuildFailed(f"{what}: {error}") from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-800:]
        raise RebuildFailed(f"{what}: {Path(command[0]).name} failed: {said}")


def _site_packages(python: Path) -> Path:
    done = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        raise RebuildFailed(f"{python} does not start: {done.stderr.strip()[-300:]}")
    return Path(done.stdout.strip())


def _put_ourselves(python: Path) -> None:
    """This package as it is here: it does the recording, and the version that made the record may not know how to."""
    site = _site_packages(python)
    for name in ("repro_hydra", "hydra_plugins.repro_hydra_plugin"):
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise RebuildFailed(f"{name}: cannot be found here")
        shutil.copytree(
            Path(spec.origin).parent,
            site.joinpath(*name.split(".")),
            ignore=shutil.ignore_patterns("__pycache__"),
            dirs_exist_ok=True,
        )
    at_start = Path(sysconfig.get_path("purelib"), _AT_START)
    if at_start.is_file():
        shutil.copy(at_start, site / _AT_START)


def _write_search_path(python: Path, entries: list[str]) -> None:
    if entries:
        (_site_packages(python) / "repro_hydra_scratch.pth").write_text(
            "".join(f"{entry}\n" for entry in entries)
        )
