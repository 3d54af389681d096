"""The reproduction's process: a fresh interpreter in the scratch tree, ended with us."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro_hydra.environment import list_distributions
from repro_hydra.reproduce.command import Command

_GRACE_S = 15.0
_KEPT_LINES = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Python:
    """The interpreter that runs the job."""

    executable: str
    bin_dir: Path
    search_path: tuple[str, ...] = ()
    """Entries of its own search path: what is installed in place may lie in the user's work tree."""


def this_python() -> Python:
    """The interpreter that we run in, with whatever is installed in it."""
    entries = [entry for entry in sys.path[1:] if entry]
    for item in list_distributions():
        if item.editable and item.url and item.url.startswith("file://"):
            root = item.url.removeprefix("file://")
            entries += [f"{root}/src", root]
    return Python(
        executable=sys.executable,
        bin_dir=Path(sys.executable).parent,
        search_path=tuple(dict.fromkeys(entries)),
    )


def program_line(
    command: Command, python: Python, tree: Path, cwd: Path, arguments: Sequence[str]
) -> list[str]:
    """The whole command line. A script is named from where it is started, as its user did."""
    if command.console_script is not None:
        return [python.executable, str(python.bin_dir / command.console_script), *arguments]
    *flags, target = command.program
    if flags[-1:] != ["-m"]:
        script = tree / target
        target = os.path.relpath(script, cwd) if script.is_relative_to(cwd) else str(script)
    return [python.executable, *flags, target, *arguments]


def import_path(
    python: Python, trees: Mapping[Path, Path], first: Sequence[Path], environ: Mapping[str, str]
) -> str | None:
    """PYTHONPATH for the job: what would be imported from the user's work trees comes from the scratch trees.

    Without it a project that is installed in place (``pip install -e .``, ``src/`` layout) would be imported as it
    is now, whatever was checked out.

    Parameters
    ----------
    trees : mapping
        The tops of work trees, with the scratch trees that stand for them.
    first : sequence of Path
        Folders of scratch trees that the run had on its search path, whatever this process has.
    """
    given = [entry for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    moved: list[Path] = []
    prefix = Path(os.path.realpath(sys.prefix))
    for top, tree in trees.items():
        for entry in [*given, *python.search_path]:
            real = Path(os.path.realpath(entry))
            if real.is_relative_to(top) and not real.is_relative_to(prefix):
                moved.append(tree / real.relative_to(top))
        given = [entry for entry in given if not Path(os.path.realpath(entry)).is_relative_to(top)]
    here = [str(entry) for entry in [*moved, *first] if entry.is_dir()]
    entries = list(dict.fromkeys([*here, *given]))
    return os.pathsep.join(entries) or None


@dataclass(frozen=True, slots=True)
class Ended:
    """How the reproduction's process ended."""

    status: int
    tail: str
    """The last lines of what it printed."""


def run_to_its_end(
    arguments: Sequence[str], cwd: Path, environ: Mapping[str, str], echo: Callable[[str], None]
) -> Ended:
    """Run the job; what it prints goes line by line to `echo`.

    Whatever ends us (Ctrl-C, SIGTERM, an error) ends it first, and it is given time to finish its record.
    """
    tail: deque[str] = deque(maxlen=_KEPT_LINES)
    with (
        subprocess.Popen(
            list(arguments),
            cwd=cwd,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
        ended_before_us(process),
    ):
        assert process.stdout is not None
        for line in process.stdout:
            tail.append(line)
            echo(line)
        status = process.wait()
    return Ended(status, "".join(tail))


@contextmanager
def ended_before_us(process: subprocess.Popen[Any]) -> Iterator[None]:
    """Whatever ends us meanwhile ends `process` first, and gives it time to finish its record."""
    try:
        yield
    except BaseException:
        process.terminate()
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
        raise
