"""``environment.yml``: the interpreter from conda; each package at its version by pip or by conda, as it came."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec

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
    by_conda = {spec.partition("=")[0] for spec in own}
    by_pip = [pin for pin in pins if pin.name not in by_conda]
    hashed = bool(by_pip) and all(hashes_of(pin) for pin in by_pip)
    name = re.sub(r"[^\w-]+", "-", subject.project.name if subject.project is not None else "").strip("-")
    lines = [f"# Conda environment, {MADE_BY}: {described(subject)}."]
    for note in (*notes_of(tuple(by_pip)), *_remarks(subject)):
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
    notes = notes_of(tuple(by_pip)) + tuple(_remarks(subject))
    return Export(text="\n".join(lines) + "\n", notes=notes, incomplete=bool(subject.pins.problems))


def _remarks(subject: Subject) -> list[str]:
    own = [
        f"{pin.name} {pin.version}: this project's own code, not in this file" for pin in subject.pins.project
    ]
    return own + [f"not in this file: {problem}" for problem in subject.pins.problems]


def _one_line(text: str) -> str:
    return text.replace(" \\\n    ", " ")


def _quoted(text: str) -> str:
    """A YAML scalar: plain where that is unambiguous, else in double quotes, of which JSON's are a kind."""
    plain = re.fullmatch(r"[A-Za-z_][\w=.!+/-]*", text) and text.lower() not in _NOT_TEXT
    return text if plain else json.dumps(text, ensure_ascii=False)


def conda_packages(prefix: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What conda installed below `prefix` (``name=version=build``), and from which channels; empty outside of conda."""
    specs, channels = [], []
    for file in sorted((prefix / "conda-meta").glob("*.json")):
        try:
            entry = msgspec.json.decode(file.read_bytes(), type=_CondaMeta)
        except (OSError, msgspec.MsgspecError):
            continue  # `history` and the like are no packages
        spec = f"{entry.name}={entry.version}={entry.build}"
        channel = entry.channel.rstrip("/").rpartition("/")[0].rpartition("/")[2] or entry.channel
        if _SPEC.fullmatch(spec):
            specs.append(spec)
        if _CHANNEL.fullmatch(channel):
            channels.append(channel)
    return tuple(specs), tuple(dict.fromkeys(channels))


class _CondaMeta(msgspec.Struct):
    name: str
    version: str
    build: str
    channel: str = ""
