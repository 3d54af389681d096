"""The file that an index of runs is kept in: its layout, and how it is read.

Only a cache: a damaged one, or one of another layout, is ignored.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path

import msgspec

from repro_hydra.record.find import (
    RunHead,
)
from repro_hydra.record.schema import JSON

LAYOUT = "repro-hydra run index 1"
Key = tuple[int, int, int, int]


class KnownFolder(msgspec.Struct, array_like=True, gc=False):
    """A folder as it was when it was looked at."""

    key: Key
    names: list[str]
    """Of the folders in it that are entered."""
    has_record: bool


class KnownRun(msgspec.Struct, array_like=True, gc=False):
    """A run as its files told it."""

    key: Key
    head: RunHead
    result_key: Key | None = None
    """None: there is no result."""
    result: dict[str, JSON] | None = None
    config_key: Key | None = None
    config: bytes = b""
    """As bytes of JSON; decoded where somebody asks for a value of it."""


class Content(msgspec.Struct, array_like=True):
    """The whole file, for one root."""

    layout: str
    root: str
    taken_ns: int
    """When the look at it all began."""
    folders: dict[str, KnownFolder]
    runs: dict[str, KnownRun]
    sweeps: dict[str, Key]
    """Plans that could be read."""


def load(file: Path, real: str) -> Content | None:
    """What is kept of the root `real`; None where nothing is that can be used."""
    try:
        with without_collector():
            content = msgspec.msgpack.decode(file.read_bytes(), type=Content)
    except (OSError, msgspec.DecodeError):
        return None
    return content if content.layout == LAYOUT and content.root == real else None


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """The garbage collector would go through 50,000 new objects again and again, and find none to free."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
