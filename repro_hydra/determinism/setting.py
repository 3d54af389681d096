"""One row of the table of settings."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from repro_hydra.config import DeterminismConf

JSON = Any
ANY: Any = object()
"""No particular value: see `Setting.usual`."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A setting: why it matters, when it must be set, how it is set, and how it is seen to hold.

    A probe asks the library that acts on the setting, or looks at what the interpreter does; it never echoes what was
    asked.
    """

    name: str
    why: str
    when: str
    """The last moment at which setting it has an effect."""
    how_probed: str
    library: str | None
    """The module that must be imported before it can be set or probed; None: the interpreter alone."""
    option: str | None
    """The option of `DeterminismConf` that asks for it; None: recorded only."""
    asked: Callable[[DeterminismConf], JSON]
    """What the options want; None: left as it is."""
    probe: Callable[[], JSON]
    apply: Callable[[JSON], None] | None = None
    """None where only the environment at the interpreter's start can set it."""
    holds: Callable[[JSON, JSON], bool] = lambda asked, found: bool(asked == found)
    usual: JSON = ANY
    """What the library starts with: another value was somebody's choice, and overriding it is said."""
    remember: Callable[[], Callable[[], None]] | None = None
    """Called before it is set; what it returns brings that back. None: `apply`, with what the probe found."""
    lasting: bool = False
    """It cannot be undone."""
    mend: Callable[[], str] = lambda: "Run: repro-hydra run -- COMMAND"
    """What to do where it is not in force."""
    severity: Literal["blocks", "harmless"] = "blocks"
    """Of its not being in force: harmless for what a platform may refuse."""


def recorded(
    name: str, *, why: str, how_probed: str, probe: Callable[[], JSON], library: str | None = None
) -> Setting:
    """A row that nothing is asked of: the same bits need the same value, and only the program can know it."""
    return Setting(
        name=name,
        why=why,
        when="recorded only",
        how_probed=how_probed,
        library=library,
        option=None,
        asked=lambda _: None,
        probe=probe,
    )


def torch_module() -> Any:
    """torch, which is imported where a row of its is looked at."""
    return sys.modules["torch"]
