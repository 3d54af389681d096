"""Hooks on `random`, and on what asks the system: ``os.urandom``, ``secrets``, ``uuid4``, ``uuid1``.

``random.Random.seed`` is replaced on the class, which reaches instances and subclasses however they were imported.
Audit events would not do: ``os.urandom`` and ``getrandom`` raise none.
"""

from __future__ import annotations

import functools
import os
import random
import sys
from types import FrameType
from typing import Any

from repro_hydra.audit.book import AuditBook, caller_of_hook
from repro_hydra.patches import Patches

_FOR_OTHERS = (f"{os.sep}random.py", f"{os.sep}secrets.py", f"{os.sep}uuid.py")
"""Files of the standard library that act for whoever calls them."""


def install(audit: AuditBook, patches: Patches) -> None:
    """Replace what is looked at."""
    _watch_random(audit, patches)
    _watch_system(audit, patches)


def _watch_random(audit: AuditBook, patches: Patches) -> None:
    original_seed, original_setstate = random.Random.seed, random.Random.setstate
    shared: Any = random._inst
    seeded: set[int] = set()
    watched: dict[int, random.Random] = {}  # kept alive, so that no other object gets its id

    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        original_seed(self, a, version)
        if audit.sleeping():
            return
        frame = _out_of_random(caller_of_hook())
        if self is shared:
            audit.seeded_again("random", a, frame)
        elif a is not None:
            seeded.add(id(self))
        elif id(self) not in watched:
            site = audit.accused(frame)
            if site is not None:
                watched[id(self)] = self
                seeded.discard(id(self))
                audit.unseeded("random.Random", site, lambda: id(self) in seeded)

    def setstate(self: random.Random, state: Any) -> None:
        original_setstate(self, state)
        seeded.add(id(self))

    def seed_shared(a: Any = None, version: int = 2) -> None:
        with audit.inside():
            original_seed(shared, a, version)
        if not audit.sleeping():
            audit.seeded_again("random", a, caller_of_hook())

    patches.attribute(random.Random, "seed", seed)
    patches.attribute(random.Random, "setstate", setstate)
    patches.everywhere(random, "seed", seed_shared)


def _watch_system(audit: AuditBook, patches: Patches) -> None:
    original = os.urandom

    def urandom(size: int, /) -> bytes:
        if not audit.sleeping():
            frame = caller_of_hook()
            site = audit.accused(frame, _FOR_OTHERS)
            if site is not None:
                audit.entropy(_name_of(frame), site)
        return original(size)

    patches.everywhere(os, "urandom", urandom)
    patches.attribute(random, "_urandom", urandom)
    if hasattr(os, "getrandom"):
        _watch_call(audit, patches, os, "getrandom")


def watch_uuid(audit: AuditBook, patches: Patches) -> None:
    """``uuid4`` asks `os.urandom`; ``uuid1`` is made of the clock and the machine's address."""
    _watch_call(audit, patches, sys.modules["uuid"], "uuid1")


def watch_ssl(audit: AuditBook, patches: Patches) -> None:
    """OpenSSL's own generator."""
    _watch_call(audit, patches, sys.modules["ssl"], "RAND_bytes")


def _watch_call(audit: AuditBook, patches: Patches, module: Any, name: str) -> None:
    original = getattr(module, name)

    @functools.wraps(original)
    def asked(*arguments: Any, **named: Any) -> Any:
        if not audit.sleeping():
            site = audit.accused(caller_of_hook())
            if site is not None:
                audit.entropy(f"{module.__name__}.{name}", site)
        return original(*arguments, **named)

    patches.everywhere(module, name, asked)


def _out_of_random(frame: FrameType) -> FrameType:
    while frame.f_code.co_filename == random.__file__ and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _name_of(frame: FrameType) -> str:
    """What the user called: the outermost function of the files that act for others."""
    name = "os.urandom"
    while frame.f_code.co_filename.endswith(_FOR_OTHERS) and frame.f_back is not None:
        module = str(frame.f_globals.get("__name__", ""))
        name = "random.SystemRandom" if module == "random" else f"{module}.{frame.f_code.co_name}"
        frame = frame.f_back
    return name
