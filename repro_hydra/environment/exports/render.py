"""The formats by name."""

from __future__ import annotations

from collections.abc import Callable

from repro_hydra.environment.exports.conda import conda
from repro_hydra.environment.exports.dockerfile import dockerfile
from repro_hydra.environment.exports.pylock import pylock
from repro_hydra.environment.exports.requirements import requirements
from repro_hydra.environment.exports.subject import Export, Subject

_FORMATS: dict[str, Callable[[Subject], Export]] = {
    "requirements": requirements,
    "pylock": pylock,
    "conda": conda,
    "dockerfile": dockerfile,
}
FORMATS = tuple(_FORMATS)
FILE_NAMES = {
    "requirements": "requirements.txt",
    "pylock": "pylock.toml",
    "conda": "environment.yml",
    "dockerfile": "Dockerfile",
}
"""What each is called where installers look for it."""


def render(format_name: str, subject: Subject) -> Export:
    """`subject` in one of `FORMATS`.

    Raises
    ------
    CannotExport
    """
    return _FORMATS[format_name](subject)
