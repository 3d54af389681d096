"""A virtual environment with the recorded packages, by uv or, where that is missing, by pip."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from repro_hydra.environment.circumstances import canonical
from repro_hydra.record.environment import Distribution
from repro_hydra.reproduce.original import Original
from repro_hydra.reproduce.process import Python

_NAME = re.compile(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][\w.!+-]*")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_URL = re.compile(r"https?://[\w.:/@%~+-]+")
_NOT_PINNED = frozenset({"pip", "setuptools", "wheel", "uv"})
_OURS = "repro-hydra"
_LIMIT_S = 3600


class RebuildFailed(Exception):
    """The environment cannot be made; the text says all that is in the way."""


def pins(distributions: list[Distribution]) -> tuple[list[str], list[str]]:
    """Requirements that give these distributions, and what no requirement can give.

    Every name, version and address is checked: they come from a record, and go to a program that installs.
    """
    requirements, problems = [], []
    for item in distributions:
        name = canonical(item.name)
        if name in _NOT_PINNED or name == _OURS:
            continue
        version = item.version or ""
        if not _NAME.fullmatch(item.name) or not _VERSION.fullmatch(version):
            problems.append(f"{item.name!r} {version!r} is no name and version")
        elif item.kind == "vcs" and item.url and item.commit:
            if _URL.fullmatch(item.url) and _COMMIT.fullmatch(item.commit):
                requirements.append(f"{item.name} @ git+{item.url}@{item.commit}")
            else:
                problems.append(f"{item.name}: {item.url} at {item.commit} is no address to install from")
        elif item.editable or item.kind == "editable":
            continue  # its code is in the snapshot where it is the project's own; else its import will tell
        elif item.kind == "local":
            problems.append(
                f"{item.name} {version} was installed from {item.url}, a folder of the other machine"
            )
        else:
            requirements.append(f"{item.name}=={version}")
    return requirements, problems


def rebuilt_python(original: Original, folder: Path, tree: Path) -> Python:
    """Make the environment in `folder`.

    Raises
    ------
    RebuildFailed
    """
    if original.distributions is None or original.environment is None:
        raise RebuildFailed("the record does not hold the list of packages")
    requirements, problems = pins(original.distributions)
    if problems:
        raise RebuildFailed("; ".join(problems))
    version = original.environment.interpreter.version
    if not re.fullmatch(r"\d+\.\d+\.\d+\w*", version):
        raise RebuildFailed(f"{version!r} is no version of Python")
    file = folder.with_suffix(".txt")
    file.write_text("".join(f"{line}\n" for line in requirements))
    uv = shutil.which("uv")
    minor = ".".join(version.split(".")[:2])
    if uv is not None:
        _run([uv, "venv", "-q", "--python", minor, str(folder)], f"Python {minor}")
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


def _write_search_path(python: Path, entries: list[str]) -> None:
    if entries:
        (_site_packages(python) / "repro_hydra_scratch.pth").write_text(
            "".join(f"{entry}\n" for entry in entries)
        )
