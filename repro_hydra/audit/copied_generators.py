"""Generators that forked children inherited: two workers that draw from one copied state draw the same numbers.

torch seeds the global generators in each worker of a ``DataLoader``; a generator at the top of a module, or held by
the dataset, is copied as it is: NumPy's, torch's and `random.Random` alike. Each child that was forked by
`multiprocessing` looks at the end whether it drew from such a copy, and tells its parent by a pipe; two that did are
a finding. Children that are killed, or were started by spawn, tell nothing.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import random
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec

from repro_hydra.audit.book import AuditBook
from repro_hydra.imports import is_imported
from repro_hydra.sites import Site, shorten, users_modules

_LONGEST = 2000
"""Bytes of a message: one write to a pipe is whole up to 4096."""
_READ_BYTES = 1 << 20
_DEEPEST = 2
"""A subset of a dataset holds it; a dataset holds a transform."""
_MOST_OBJECTS = 200
_WORDS = 624
_MOST_TWISTS = 2000
"""How far a Mersenne twister is followed, in rounds of 624 words: some 20 ms, once in a worker's life."""


class CopiedGenerators:
    """Told of by children, asked by the audit at its end."""

    def __init__(self, audit: AuditBook) -> None:
        self._audit = audit
        self._pipe: tuple[int, int] | None = None

    def watch(self) -> None:
        """Look at each child that `multiprocessing` forks from now on."""
        util: Any = sys.modules["multiprocessing.util"]
        if self._pipe is None and hasattr(os, "register_at_fork"):
            self._pipe = os.pipe()
            for end in self._pipe:
                os.set_blocking(end, False)
            # Kept weakly there: gone when the session is.
            util.register_after_fork(self, CopiedGenerators._in_child)

    def _in_child(self) -> None:
        pipe = self._pipe
        if pipe is None:
            return
        util: Any = sys.modules["multiprocessing.util"]
        before = {}
        for place, generator in _held().items():
            with contextlib.suppress(
                RuntimeError
            ):  # one of CUDA's cannot be read here, nor used by the child
                before[place] = _position(generator)
        if before:
            util.Finalize(None, _tell, args=(pipe[1], before), exitpriority=-100)

    def settle(self) -> None:
        """Turn what children have told into findings."""
        if self._pipe is None:
            return
        drew: dict[tuple[str, str], int] = defaultdict(int)
        with contextlib.suppress(BlockingIOError):
            for line in os.read(self._pipe[0], _READ_BYTES).splitlines():
                file, name = json.loads(line)
                drew[file, name] += 1
        for (file, name), count in drew.items():
            if count > 1:
                site = Site(shorten(file, self._audit.start), _line_of(file, name))
                self._audit.add(
                    f"copied-generator:{name}@{site}",
                    "may_change_bits",
                    f"{site}: the generator {name} was copied into {count} worker processes, which all drew the same "
                    "numbers from it. Make one in each worker, from torch.initial_seed() (worker_init_fn), or one "
                    "for each sample from the seed and its index",
                    site,
                )

    def stop(self) -> None:
        if self._pipe is not None:
            for end in self._pipe:
                os.close(end)
            self._pipe = None


def _held() -> dict[tuple[str, str], Any]:
    """The generators at the top of the user's modules, and in what this process was given (a dataset)."""
    found: dict[tuple[str, str], Any] = {}
    modules = users_modules()
    kinds, shared = _kinds()
    for filename, module in modules:
        for name, value in list(vars(module).items()):
            if isinstance(value, kinds) and id(value) not in shared:
                found[filename, name] = value
    files = {module.__name__: filename for filename, module in modules}
    process: Any = sys.modules["multiprocessing.process"].current_process()
    to_do = [(item, _DEEPEST) for item in getattr(process, "_args", ())]
    for holder, depth in to_do:  # grows while it is gone through
        file = files.get(type(holder).__module__)
        for name, value in list(getattr(holder, "__dict__", {}).items()):
            if isinstance(value, kinds):
                if file is not None and id(value) not in shared:
                    found[file, name] = value
            elif depth and hasattr(value, "__dict__") and len(to_do) < _MOST_OBJECTS:
                to_do.append((value, depth - 1))
    return {
        place: generator
        for place, generator in found.items()
        if not isinstance(generator, random.SystemRandom)
    }


def _kinds() -> tuple[tuple[type, ...], set[int]]:
    """The classes of generators, and those objects that the libraries themselves share out."""
    shared: Any = random._inst
    kinds: list[Any] = [random.Random]
    others = {id(shared)}
    if is_imported("numpy.random"):
        numpy_random: Any = sys.modules["numpy.random"]
        kinds += [numpy_random.Generator, numpy_random.RandomState]
        others.add(id(numpy_random.mtrand._rand))
    if is_imported("torch"):
        torch: Any = sys.modules["torch"]
        kinds.append(torch.Generator)
        others.add(id(torch.default_generator))
    return tuple(kinds), others


class _Position(msgspec.Struct, frozen=True):
    """Where a generator stands, in which stream."""

    stream: str | None
    """What stays the same while it is drawn from; None for a Mersenne twister, whose whole state moves on."""
    at: Any
    words: tuple[int, ...] = ()
    """Of a Mersenne twister."""

    def is_before(self, later: _Position) -> bool:
        """Whether a generator that stood here has been drawn from until it stood where `later` says."""
        if self.stream != later.stream or self == later:
            return False
        if self.stream is not None:
            return True
        if self.words == later.words:
            return bool(self.at < later.at)
        follow = random.Random(0)
        follow.setstate((3, (*self.words, _WORDS), None))
        for _ in range(_MOST_TWISTS):
            follow.getrandbits(32 * _WORDS)
            if follow.getstate()[1][:-1] == later.words:
                return True
        return False  # it was seeded again, or drawn from too often to be followed


def _position(generator: Any) -> _Position:
    if isinstance(generator, random.Random):
        *words, at = generator.getstate()[1]
        return _Position(None, at, tuple(words))
    if hasattr(generator, "initial_seed"):  # torch's
        return _Position(str(generator.initial_seed()), generator.get_state().tolist())
    bits = getattr(generator, "bit_generator", None) or generator._bit_generator
    inner = bits.state["state"]
    if bits.state["bit_generator"] == "MT19937":
        return _Position(None, inner["pos"], tuple(inner["key"].tolist()))
    which = inner.get("inc", inner.get("key"))  # of PCG64; of Philox
    # SFC64 has nothing that stays: where it stands is taken for the stream, and so no draw is told.
    return _Position(repr(inner if which is None else which), repr(bits.state))


def _tell(pipe: int, before: dict[tuple[str, str], _Position]) -> None:
    for place, generator in _held().items():
        if place in before and before[place].is_before(_position(generator)):
            message = json.dumps(place).encode() + b"\n"
            if len(message) <= _LONGEST:
                with contextlib.suppress(OSError):  # nobody reads any more
                    os.write(pipe, message)


def _line_of(file: str, name: str) -> int:
    """Where `name` is given its value."""
    with contextlib.suppress(OSError, SyntaxError, ValueError):
        for node in ast.walk(ast.parse(Path(file).read_bytes())):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    if getattr(target, "id", getattr(target, "attr", None)) == name:
                        return node.lineno
    return 1
