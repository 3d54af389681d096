"""Whose code a frame is: the user's, which is accused, or somebody else's, which is not.

The standard library makes generators of its own (``tempfile`` names its files by one), and so do installed packages:
what they do with them is theirs. The user's code is every file that is neither of these nor this package's.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from functools import lru_cache
from types import FrameType, ModuleType
from typing import Any

import msgspec

OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep  # noqa: PTH100, PTH120
_PACKAGES = (
    f"{os.sep}site-packages{os.sep}",
    f"{os.sep}dist-packages{os.sep}",
    f"{os.sep}hydra_plugins{os.sep}",
)
_CELLS = ("<ipython-input", "<stdin>")


class Site(msgspec.Struct, frozen=True):
    """A line of the user's code."""

    file: str
    """Relative to where the run was started, where it lies below that."""
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@lru_cache(maxsize=1)
def _installed() -> tuple[str, ...]:
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    paths |= {os.path.dirname(os.path.realpath(os.__file__)), *site.getsitepackages()}  # noqa: PTH120
    return tuple(path.rstrip(os.sep) + os.sep for path in paths if path)


@lru_cache(maxsize=16384)
def is_users(filename: str) -> bool:
    """Whether code from this file is the user's."""
    if filename.startswith("<"):
        return filename.startswith(
            _CELLS
        )  # others are made by libraries: dataclasses, namedtuple, frozen modules
    if filename.startswith((OURS, *_installed())) and f"{os.sep}..{os.sep}" not in filename:
        return False  # most are these, and a process has thousands
    path = os.path.abspath(filename)  # noqa: PTH100 (4 us where Path.resolve takes 40)
    if path.startswith((OURS, *_installed())) or any(part in path for part in _PACKAGES):
        return False
    return os.path.realpath(path) == path or not os.path.realpath(path).startswith((OURS, *_installed()))


def site_of(frame: FrameType, start: str) -> Site:
    """The line that `frame` is at."""
    return Site(shorten(frame.f_code.co_filename, start), frame.f_lineno)


def shorten(filename: str, start: str) -> str:
    path = filename if filename.startswith("<") else os.path.abspath(filename)  # noqa: PTH100
    return path[len(start) + 1 :] if path.startswith(start.rstrip(os.sep) + os.sep) else path


def callers(frame: FrameType | None) -> Iterator[FrameType]:
    """`frame` and those that called it."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def users_modules() -> list[tuple[str, ModuleType]]:
    """The user's modules that are imported, with their files."""
    found = []
    modules: list[Any] = list(sys.modules.values())  # anything may stand there
    for module in modules:
        if not isinstance(module, ModuleType):
            continue
        filename: Any = vars(module).get("__file__")  # a lazy module must not be woken by looking at it
        if isinstance(filename, str) and is_users(filename):
            found.append((filename, module))
    return found
