"""``requirements.txt``: every package at its exact version, with hashes where all of them are known.

Installers check hashes for all requirements or for none (pip, "Secure installs"), and cannot for a repository or a
folder: so hashes are written when each package of the list has one, and the head says which it is.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from repro_hydra.environment.exports.subject import (
    MADE_BY,
    Export,
    Subject,
    comment_lines,
    described,
    notes_of,
)
from repro_hydra.environment.pins import Pin


def requirements(subject: Subject) -> Export:
    """The file, for ``pip install --no-deps -r`` and ``uv pip install --no-deps -r``."""
    pins = subject.pins.installed
    hashed = bool(pins) and all(hashes_of(pin) for pin in pins)
    lines = [
        f"# Requirements, {MADE_BY}: {described(subject)}.",
        "# The list is complete, so that dependencies need no looking for:",
        "#     pip install --no-deps -r FILE",
    ]
    if not hashed:
        lines += comment_lines(_why_not_hashed(pins))
    for pin in pins:
        for note in pin.notes:
            lines += comment_lines(f"{pin.name}: {note}")
        lines.append(line_of(pin, hashed=hashed))
    for pin in subject.pins.project:
        lines += comment_lines(
            f"{pin.name} {pin.version}: this project's own code, editable. From its top folder: "
            f"pip install --no-deps -e {project_path(subject, pin)}"
        )
    for problem in subject.pins.problems:
        lines += comment_lines(f"NOT IN THIS LIST: {problem}")
    notes = notes_of(pins) + tuple(f"not in the list: {problem}" for problem in subject.pins.problems)
    if not hashed and pins:
        notes += (_why_not_hashed(pins),)
    return Export(text="\n".join(lines) + "\n", notes=notes, incomplete=bool(subject.pins.problems))


def project_path(subject: Subject, pin: Pin) -> str:
    """Where the project's own package lies, relative to the project's top; quoted for a shell."""
    folder = pin.folder
    assert folder is not None
    top = folder if subject.project is None else subject.project
    below = Path(os.path.relpath(os.path.realpath(folder), os.path.realpath(top))).as_posix()
    return "." if below == "." else shlex.quote(f"./{below}")


def line_of(pin: Pin, *, hashed: bool = False) -> str:
    """The requirement of one pin."""
    if pin.source == "index":
        line = f"{pin.name}=={pin.version}"
    elif pin.editable:
        line = f"-e {pin.url}"
    else:
        line = f"{pin.name} @ {direct_address(pin)}"
    if not hashed:
        return line
    # Sorted, so that the file changes only where the packages do.
    return " \\\n    ".join([line, *(f"--hash={name}:{value}" for name, value in sorted(hashes_of(pin)))])


def direct_address(pin: Pin) -> str:
    """The address of a pin that comes from no index, as PEP 508 has it."""
    address = pin.url or ""
    if pin.source == "vcs":
        address += f"@{pin.commit}"
    return f"{address}#subdirectory={pin.subdirectory}" if pin.subdirectory else address


def hashes_of(pin: Pin) -> set[tuple[str, str]]:
    """The SHA-2 hashes of the files that may be installed for `pin`; empty where none is known."""
    files: Sequence[Mapping[str, str]] = (
        [pin.hashes] if pin.source == "archive" else [a.hashes for a in pin.artifacts]
    )
    return {
        (name, value)
        for each in files
        for name, value in each.items()
        if name in ("sha256", "sha384", "sha512")
    }


def _why_not_hashed(pins: Sequence[Pin]) -> str:
    from_sources = [pin.name for pin in pins if pin.source in ("vcs", "directory")]
    unknown = [pin.name for pin in pins if pin.source in ("index", "archive") and not hashes_of(pin)]
    if not unknown:
        return f"without hashes: installers cannot check those of a repository or a folder ({names(from_sources)})"
    return (
        f"without hashes: what is installed does not tell them ({names(unknown)}). To ask the index for them: "
        "repro-hydra env export --online, or env setup --online"
    )


def names(of: Sequence[str]) -> str:
    """The first few, and how many more."""
    return ", ".join(of[:4]) + (f" and {len(of) - 4} more" if len(of) > 4 else "")
