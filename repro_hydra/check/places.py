"""Where a checked command runs, and what of it is compared.

A Hydra program runs where its user runs it, and writes into a scratch folder: Hydra gives each run a directory. Any
other program writes where it pleases, so each run gets a copy of the working directory, and what it changed there is
compared, with what it printed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from repro_hydra.record.manifest import digest_file
from repro_hydra.record.schema import Manifest, ManifestEntry

Kind = Literal["hydra", "plain"]
_CACHES = frozenset((".git", "__pycache__", ".venv", "venv", "node_modules", ".mypy_cache", ".pytest_cache"))
_MOST_BYTES = 500_000_000
_MOST_FILES = 50_000
_SOURCE_BYTES = 2_000_000
_HYDRA = re.compile(rb"^\s*(?:from|import)\s+hydra\b|\bhydra\.main\b", re.MULTILINE)


PLAIN_LOCALE = "C.UTF-8"
MADE_LOCALE = "de_DE.UTF-8"
"""With a comma in its numbers, and umlauts sorted among the other letters."""


class TooLarge(Exception):
    """The working directory cannot be copied for each run."""


def kind_of(command: Sequence[str], cwd: Path) -> Kind:
    """Whether the command is a Hydra program: by its overrides, else by what its script imports."""
    if any(re.match(r"\+?\+?(repro|hydra[./]\S+)=", item) for item in command):
        return "hydra"
    for item in _sources(command, cwd):
        try:
            if item.stat().st_size <= _SOURCE_BYTES and _HYDRA.search(item.read_bytes()):
                return "hydra"
        except OSError:
            continue
    return "plain"


def _sources(command: Sequence[str], cwd: Path) -> Iterator[Path]:
    for before, item in zip(("", *command), command, strict=False):
        if before == "-m":
            parts = item.split(".")
            for root in (cwd, cwd / "src"):
                yield root.joinpath(*parts).with_suffix(".py")
                yield root.joinpath(*parts, "__main__.py")
        elif item.endswith((".py", ".sh")):
            yield cwd / item


def copy_tree(source: Path, target: Path) -> None:
    """A copy of the working directory for one run, without caches, version control and virtual environments.

    Raises
    ------
    TooLarge
    OSError
    """
    size = 0
    for count, path in enumerate(files_below(source), start=1):
        size += path.lstat().st_size
        if size > _MOST_BYTES or count > _MOST_FILES:
            raise TooLarge(
                f"{source}: expected a working directory of at most {_MOST_BYTES // 10**6} MB and {_MOST_FILES} "
                "files, since each run of a program without Hydra gets a copy of it. Check it from a smaller folder "
                "with absolute paths to its data"
            )
    target.mkdir(parents=True)
    for path in files_below(source):
        copied = target / path.relative_to(source)
        copied.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            to = path.readlink()
            copied.symlink_to(to if not to.is_absolute() and _stays(path, source) else path.resolve())
        elif path.is_file():
            shutil.copy2(path, copied)


def _stays(link: Path, source: Path) -> bool:
    return Path(os.path.realpath(link)).is_relative_to(os.path.realpath(source))


def files_below(folder: Path) -> Iterator[Path]:
    """Files and links of a project, without its caches and environments."""
    for directory, subdirectories, names in os.walk(folder):
        here = Path(directory)
        subdirectories[:] = sorted(
            name
            for name in subdirectories
            if name not in _CACHES and not (here / name / "pyvenv.cfg").is_file()
        )
        links = [name for name in subdirectories if (here / name).is_symlink()]
        yield from (here / name for name in sorted([*names, *links]))


def states(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of each file: to see later which changed. Stops at a number that no project reaches by hand."""
    found = {}
    for path, _ in zip(files_below(folder), range(_MOST_FILES), strict=False):
        try:
            state = path.lstat()
        except OSError:
            continue
        found[path.relative_to(folder).as_posix()] = (state.st_size, state.st_mtime_ns)
    return found


def manifest_of(folder: Path, before: Mapping[str, tuple[int, int]]) -> Manifest:
    """What a program changed below `folder`, with digests."""
    entries = []
    for name, state in sorted(states(folder).items()):
        path = folder / name
        if before.get(name) != state and path.is_file():
            entries.append(ManifestEntry(path=name, blake3=digest_file(path), size_bytes=state[0]))
    return Manifest(files=entries)


def installed_locales(environ: Mapping[str, str]) -> list[str]:
    """Locales to vary; the plain one first."""
    told = subprocess.run(["locale", "-a"], capture_output=True, text=True, env=dict(environ), check=False)
    names = {
        name for name in told.stdout.split() if "utf" in name.lower() and not name.lower().startswith("c.")
    }
    preferred = [name for name in sorted(names) if name.startswith(("de_DE", "fr_FR", "tr_TR"))]
    return [PLAIN_LOCALE, *list(dict.fromkeys([*preferred, *sorted(names)]))[:2]]


def compile_locale(folder: Path, environ: Mapping[str, str]) -> bool:
    """Make a locale below `folder` (``LOCPATH``) where none but the plain one is installed; takes some 3 s."""
    if shutil.which("localedef", path=environ.get("PATH")) is None:
        return False
    folder.mkdir(exist_ok=True)
    source, _, charmap = MADE_LOCALE.partition(".")
    done = subprocess.run(
        ["localedef", "-i", source, "-f", charmap, str(folder / MADE_LOCALE)],
        capture_output=True,
        env=dict(environ),
        check=False,
    )
    return done.returncode == 0
