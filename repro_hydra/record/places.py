"""The places that a project wrote records to, so that `list` finds them without being told.

One small text file for each project, in the user's state folder. It is a convenience and never the only way: a
root given on the command line finds everything that this file names, also after the file was deleted.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

DEFAULT_PLACES = ("outputs", "multirun")
"""Where Hydra writes unless told otherwise."""

_APP = "repro-hydra"
_LOCK_TIMEOUT_S = 2.0


def project_of(directory: Path) -> Path:
    """The project that `directory` belongs to: the top of its git work tree, or itself."""
    absolute = Path(os.path.abspath(directory))  # noqa: PTH100
    for candidate in (absolute, *absolute.parents):
        if (candidate / ".git").exists():  # a folder, or a file in a worktree
            return candidate
    return absolute


def place_of(directory: Path, project: Path, *, stamped: bool) -> Path:
    """The folder to remember for a run or sweep in `directory`: what `list` shows and `prune` may drop from.

    The folder around it, which the next ones share; but not one that others of the user's projects may lie in.

    Parameters
    ----------
    stamped : bool
        The directory's name holds the time.

    Examples
    --------
    >>> project = Path("/home/me/lab/project")
    >>> place_of(project / "outputs/2026-11-23/10-00-00", project, stamped=True).name
    '2026-11-23'
    >>> place_of(project, project, stamped=False) == project  # hydra.run.dir=.
    True
    """
    around = directory.parent
    if around.is_relative_to(project):
        return around
    return around if stamped and not project.is_relative_to(around) else directory


def remember_place(project: Path, place: Path, *, state_dir: Path | None = None) -> None:
    """Note that `project` wrote records below `place`. A failure is nobody's problem: nothing is raised.

    Parameters
    ----------
    project : Path
        As `project_of` gives it.
    place : Path
        A folder; runs lie in it or below.
    state_dir : Path, optional
        Where the notes are kept; the user's state folder if not given.
    """
    try:
        line = os.path.abspath(place)  # noqa: PTH100
        if "\n" in line:
            return  # one path a line
        notes = _notes(project, state_dir)
        if line in _read(notes):
            return
        from filelock import FileLock  # 35 ms, and only for a place that is new

        notes.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{notes}.lock", timeout=_LOCK_TIMEOUT_S):
            if line not in _read(notes):
                _append(notes, project, line)
    except (OSError, ValueError, NotImplementedError, RuntimeError):
        # No home, no room, no locks on this file system, a path with a NUL; a lock's time-out is an OSError.
        return


def known_places(project: Path, *, cwd: Path | None = None, state_dir: Path | None = None) -> list[Path]:
    """The folders where records of `project` may lie, those that exist, each once.

    Hydra's own ``outputs`` and ``multirun``, below the project and below `cwd`, are always among them.
    """
    usual = [base / name for base in (cwd or project, project) for name in DEFAULT_PLACES]
    try:
        noted = [Path(line) for line in _read(_notes(project, state_dir))]
    except (OSError, ValueError):
        noted = []
    places: dict[str, Path] = {}
    for place in [*usual, *noted]:
        if place.is_dir():
            places.setdefault(os.path.realpath(place), place)
    return list(places.values())


def _notes(project: Path, state_dir: Path | None) -> Path:
    if state_dir is None:
        import platformdirs  # 15 ms, which a `list ROOT` need not pay

        state_dir = Path(platformdirs.user_state_dir(_APP, appauthor=False))
    identity = hashlib.sha256(os.fsencode(os.path.realpath(project))).hexdigest()[:32]
    return state_dir / "places" / f"{identity}.txt"


def _read(notes: Path) -> list[str]:
    try:
        text = os.fsdecode(notes.read_bytes())
    except OSError:
        return []
    # Not `splitlines`, which also splits at characters that a path may hold (U+2028).
    return [line for line in text.split("\n") if line and not line.startswith("#") and "\0" not in line]


def _append(notes: Path, project: Path, line: str) -> None:
    # One write of the whole line: a reader sees it or not, and never half of it.
    heading = "" if notes.exists() else f"# {os.path.realpath(project)!r}\n"
    data = notes.read_bytes() if not heading else b""
    separator = "" if not data or data.endswith(b"\n") else "\n"
    handle = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, os.fsencode(f"{heading}{separator}{line}\n"))
    finally:
        os.close(handle)


def noted_places(project: Path, *, state_dir: Path | None = None) -> list[Path]:
    """The places that `project` wrote records to, whether they are there now or not."""
    try:
        return [Path(line) for line in _read(_notes(project, state_dir))]
    except (OSError, ValueError):
        return []


def every_noted_place(*, state_dir: Path | None = None) -> list[Path]:
    """The places that any project of this user wrote records to."""
    try:
        folder = _notes(Path("/"), state_dir).parent
        return [Path(line) for notes in sorted(folder.glob("*.txt")) for line in _read(notes)]
    except (OSError, ValueError):
        return []
