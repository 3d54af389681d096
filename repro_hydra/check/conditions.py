"""The conditions that must not matter: what each run of a check gets.

In the runs that are compared all of them vary at once. Where those differ, all are held, and released one at a time:
the one that brings the difference back is the cause.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import msgspec

Name = Literal[
    "hash seed", "directory order", "clock", "system entropy", "pool timing", "memory", "addresses",
    "time zone", "locale", "run directory",
]  # fmt: skip
NAMES: tuple[Name, ...] = get_args(Name)
"""In the order in which they are released: the likeliest cause first."""

_DAY_S = 86_400
HELD_TIME_S = 1_700_000_000.0


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """What one run gets. A number is a variation, of which 0 is the held one where nothing else is said."""

    hash_seed: int = 0
    order: int = 0
    """Of names in a directory: 0 sorted, else shuffled in a way of its own."""
    clock_held: bool = False
    clock_offset_s: float = 0.0
    entropy_held: bool = False
    timing: int = 0
    """Which jobs of a pool are delayed by how much."""
    memory: int = 85
    """The byte that fresh memory is filled with (glibc)."""
    addresses_held: bool = False
    ballast: int = 0
    """Bytes of an environment variable that moves the stack and the heap."""
    time_zone: int = 0
    locale: int = 0
    directory: int = 0
    """0: the same name each time."""


HELD = Conditions(clock_held=True, entropy_held=True, addresses_held=True)
"""Everything as it was the last time."""

_RELEASED: dict[Name, dict[str, Any]] = {
    "hash seed": {"hash_seed": 1},
    "directory order": {"order": 1},
    "clock": {"clock_held": False, "clock_offset_s": 1.13 * _DAY_S},
    "system entropy": {"entropy_held": False},
    "pool timing": {"timing": 1},
    "memory": {"memory": 181},
    "addresses": {"addresses_held": False, "ballast": 4096},
    "time zone": {"time_zone": 1},
    "locale": {"locale": 1},
    "run directory": {"directory": 1},
}


def varied(number: int) -> Conditions:
    """The conditions of the run of this number, from 0; no two of them share any."""
    return Conditions(
        hash_seed=101 + number,
        order=number,
        clock_offset_s=number * 1.13 * _DAY_S,
        timing=number,
        memory=(41 + 67 * number) % 255 + 1,
        ballast=1000 * (number + 1),
        time_zone=number,
        locale=number,
        directory=1 + number,
    )


def released(name: Name) -> Conditions:
    """Everything held but one."""
    return msgspec.structs.replace(HELD, **_RELEASED[name])


def all_varied_but(names: Iterable[Name]) -> Conditions:
    """What is left to find, once `names` are known to be causes."""
    held = {key: getattr(HELD, key) for name in names for key in _RELEASED[name]}
    return msgspec.structs.replace(varied(1), **held)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a cause is called, and what to do about it."""

    area: str
    detail: str
    advice: str


EXPLANATIONS: dict[Name, Explanation] = {
    "hash seed": Explanation(
        "determinism",
        "the hash seed: sets and hash() of text come out in another order",
        "Sort before iterating, or run with +repro=strict, which holds the hash seed",
    ),
    "directory order": Explanation(
        "data",
        "the order of names in a directory, which the file system chooses",
        "Sort what is listed",
    ),
    "clock": Explanation(
        "determinism", "the clock: when the process starts", "Take the value from the config"
    ),
    "system entropy": Explanation(
        "seed",
        "randomness of the system: a generator without a seed, or os.urandom",
        "Seed it from the config",
    ),
    "pool timing": Explanation(
        "determinism",
        "the order in which the jobs of a pool finish",
        "Take results in the order of submission (map, or the list of futures)",
    ),
    "memory": Explanation(
        "determinism",
        "what is left in fresh memory: something is read that was never written",
        "Fill it (zeros), or run with +repro=strict, where torch fills it",
    ),
    "addresses": Explanation(
        "determinism",
        "the addresses of objects: a set of objects, or id(), comes out in another order",
        "Give the objects a key of their own and sort by it",
    ),
    "time zone": Explanation("environment", "the time zone", "Use UTC, or take the zone from the config"),
    "locale": Explanation("environment", "the locale", "Name the locale that parsing and sorting shall have"),
    "run directory": Explanation(
        "config", "the name of the run's directory", "Let nothing that is computed depend on it"
    ),
}
