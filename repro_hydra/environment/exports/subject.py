"""What is exported: the pins, and what a recipe for a whole machine needs besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from repro_hydra.environment.pins import Pin, Pins
from repro_hydra.record.environment import EnvironmentRecord

MADE_BY = "made by repro-hydra"
"""Stands in the head of each export: what bears it may be replaced by a newer one."""


class CannotExport(Exception):
    """The environment does not tell enough for this format; the text says what is missing, and the next command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One environment to export."""

    environment: EnvironmentRecord
    pins: Pins
    project: Path | None = None
    """The project's top folder, where there is one."""
    base_image: str | None = None
    """Of the Dockerfile."""
    requirements: str = "requirements.txt"
    """Where the Dockerfile finds them, relative to the project's top."""
    command: tuple[str, ...] = ()
    """What a container runs."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """In force in a container from the interpreter's start."""
    conda_packages: tuple[str, ...] = ()
    """``name=version=build`` of a conda environment's own packages."""
    conda_channels: tuple[str, ...] = ()
    conda_left_out: tuple[str, ...] = ()
    """What of a conda environment could not be read or written, and why."""

    @property
    def python(self) -> str:
        return self.environment.interpreter.version


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A file's text, and what its user must be told."""

    text: str
    notes: tuple[str, ...] = ()
    """Of this file: what it does not hold, or not for every machine."""
    incomplete: bool = False
    """Whether something that is installed here could not be put into it."""


def described(subject: Subject) -> str:
    """The environment in a line."""
    platform = subject.environment.platform
    libc = f", {platform.libc}" if platform.libc else ""
    count = len(subject.pins.installed)
    unlisted = ", ".join(subject.pins.left_out)
    return (
        f"{subject.environment.interpreter.implementation} {subject.python} on {platform.system} "
        f"{platform.machine}{libc}; {count} packages"
        + (
            f", not counting {unlisted}, which is in no list: a new environment brings its own"
            if unlisted
            else ""
        )
    )


def comment_lines(text: str, prefix: str = "#") -> list[str]:
    """`text` as comments; whatever ends a line in it does not end the comment."""
    return [f"{prefix} {line}".rstrip() for line in " ".join(text.splitlines()).split("\n")]


def notes_of(pins: tuple[Pin, ...]) -> tuple[str, ...]:
    return tuple(f"{pin.name} {pin.version}: {note}" for pin in pins for note in pin.notes)
