"""``environment.yml``: the interpreter from conda; each package at its version by pip or by conda, as it came."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

import msgspec
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from repro_hydra.environment.exports.requirements import hashes_of, line_of
from repro_hydra.environment.exports.subject import (
    MADE_BY,
    Export,
    Subject,
    comment_lines,
    described,
    notes_of,
)

_SPEC = re.compile(r"[\w.-]+=[\w.!+-]+=[\w.!+-]+")
_CHANNEL = re.compile(r"[\w./-]+")
_NOT_TEXT = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
"""What YAML 1.1 reads as something else."""
_USUAL_CHANNEL = "conda-forge"


def conda(subject: Subject) -> Export:
    """The file, for ``conda env create -f`` and its like."""
    pins = subject.pins.installed
    own = set(subject.conda_packages)
    by_conda: dict[str, str] = {canonicalize_name(spec.split("=")[0]): spec.split("=")[1] for spec in own}
    over = {pin.name for pin in pins if pin.name in by_conda and _differs(pin.version, by_conda[pin.name])}
    by_pip = [pin for pin in pins if pin.name not in by_conda or pin.name in over]
    hashed = bool(by_pip) and all(hashes_of(pin) for pin in by_pip)
    name = re.sub(r"[^\w-]+", "-", subject.project.name if subject.project is not None else "").strip("-")
    lines = [f"# Conda environment, {MADE_BY}: {described(subject)}."]
    remarks = _remarks(subject)
    remarks += [
        f"{name}: conda has {by_conda[name]}, over which another version was installed: pip's comes last here too"
        for name in sorted(over)
    ]
    notes = (*notes_of(tuple(by_pip)), *remarks)
    for note in notes:
        lines += comment_lines(note)
    lines += [f"name: {_quoted(name or 'environment')}", "channels:"]
    lines += [f"  - {_quoted(channel)}" for channel in subject.conda_channels or (_USUAL_CHANNEL,)]
    lines.append("dependencies:")
    if not any(spec.startswith("python=") for spec in own):
        lines.append(f"  - {_quoted(f'python={subject.python}')}")
    lines += [f"  - {_quoted(spec)}" for spec in sorted(own)]
    if by_pip:
        lines += ["  - pip", "  - pip:"] if "pip" not in by_conda else ["  - pip:"]
        # conda hands each line to pip as one of a requirements file.
        lines += [f"      - {_quoted(_one_line(line_of(pin, hashed=hashed)))}" for pin in by_pip]
    incomplete = bool(subject.pins.problems or subject.conda_left_out)
    return Export(text="\n".join(lines) + "\n", notes=notes, incomplete=incomplete)


def _remarks(subject: Subject) -> list[str]:
    own = [
        f"{pin.name} {pin.version}: this project's own code, not in this file" for pin in subject.pins.project
    ]
    if not subject.conda_packages and any(d.kind == "conda" for d in subject.environment.distributions or ()):
        own.append(
            "not in this file: what conda installed that is no package of Python, which no record holds. "
            "Export from within that environment"
        )
    problems = (*subject.pins.problems, *subject.conda_left_out)
    return own + [f"not in this file: {problem}" for problem in problems]


def _differs(version: str, condas: str) -> bool:
    """Whether they are two versions; conda's may be written as Python's never is."""
    try:
        return Version(version) != Version(condas)
    except InvalidVersion:
        return version != condas


def _one_line(text: str) -> str:
    return text.replace(" \\\n    ", " ")


def _quoted(text: str) -> str:
    """A YAML scalar: plain where that is unambiguous, else in double quotes, of which JSON's are a kind."""
    plain = re.fullmatch(r"[A-Za-z_][\w=.!+/-]*", text) and text.lower() not in _NOT_TEXT
    return text if plain else json.dumps(text, ensure_ascii=False)


class CondaPackages(NamedTuple):
    """What conda installed; empty outside of conda."""

    specs: tuple[str, ...] = ()
    """``name=version=build``."""
    channels: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def conda_packages(prefix: Path) -> CondaPackages:
    """What conda installed below `prefix`, by the file that it keeps of each package."""
    specs, channels, left_out = [], [], []
    for file in sorted((prefix / "conda-meta").glob("*.json")):
        try:
            entry = msgspec.json.decode(file.read_bytes(), type=_CondaMeta)
        except (OSError, msgspec.MsgspecError) as error:
            left_out.append(f"a package of conda's, of which {str(file)!r} cannot be read ({error})")
            continue
        spec = f"{entry.name}={entry.version}={entry.build}"
        channel = entry.channel.rstrip("/").rpartition("/")[0].rpartition("/")[2] or entry.channel
        if _SPEC.fullmatch(spec):
            specs.append(spec)
        else:
            left_out.append(f"{spec!r}: expected a package of conda's")
        if _CHANNEL.fullmatch(channel):
            channels.append(channel)
        elif channel:
            left_out.append(f"{entry.name!r} comes from {channel!r}: expected a channel")
    return CondaPackages(tuple(specs), tuple(dict.fromkeys(channels)), tuple(left_out))


class _CondaMeta(msgspec.Struct):
    name: str
    version: str
    build: str
    channel: str = ""
