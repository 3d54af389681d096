"""Generators that forked children inherited: two workers that draw from one copied state draw the same numbers.

torch seeds the global generators in each worker of a ``DataLoader``; a generator at the top of a module, or held by
the dataset, is copied as it is: NumPy's, torch's and `random.Random` alike. In any other child so are the global
generators of NumPy and torch; that of `random` is seeded apart (`repro_hydra.seed.forked`), and yet where the workers
of a pool draw from it, the clock decides which task gets which numbers.

Each child that was forked by `multiprocessing` looks at its end, in a pool at each result, whether it drew from such a
copy, and tells its parent by a pipe; two that did are a finding. Children that are killed, or were started by spawn,
tell nothing.
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
from repro_hydra.sites import Site, callers, is_users, shorten, users_modules

_LONGEST = 2000
"""Bytes of a message: one write to a pipe is whole up to 4096."""
_READ_BYTES = 1 << 20
_DEEPEST = 2
"""A subset of a dataset holds it; a dataset holds a transform."""
_MOST_OBJECTS = 200
_WORDS = 624
_MOST_TWISTS = 2000
"""How far a Mersenne twister is followed, in rounds of 624 words: some 20 ms, once in a worker's life."""
_POOLS = (("multiprocessing.pool", "worker"), ("concurrent.futures.process", "_process_worker"))
_SEEDS_ITSELF = ("torch.utils.data._utils.worker", "_worker_loop")
_Place = tuple[str, str, int | None]
"""File and name of a generator, and the line where the child was started, for one that is the libraries' own."""


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
        process: Any = sys.modules["multiprocessing.process"].current_process()
        shared = _shared(process)
        before = {}
        for place, generator in {**_held(), **shared}.items():
            with contextlib.suppress(
                RuntimeError
            ):  # one of CUDA's cannot be read here, nor used by the child
                before[place] = _position(generator)
        if not before:
            return
        child = _Child(pipe[1], before, shared)
        util.Finalize(None, child.tell, exitpriority=-100)
        if _target(process) == _POOLS[0]:  # which ends its workers by SIGTERM
            child.tell_at_each_result(process._args[1])

    def settle(self) -> None:
        """Turn what children have told into findings."""
        if self._pipe is None:
            return
        drew: dict[_Place, int] = defaultdict(int)
        with contextlib.suppress(BlockingIOError):
            for line in os.read(self._pipe[0], _READ_BYTES).splitlines():
                file, name, at = json.loads(line)
                drew[file, name, at] += 1
        for (file, name, at), count in drew.items():
            if count > 1:
                site = Site(shorten(file, self._audit.start), _line_of(file, name) if at is None else at)
                kind, text = _told(name, count, shared=at is not None)
                self._audit.add(f"{kind}:{name}@{site}", "may_change_bits", f"{site}: {text}", site)

    def stop(self) -> None:
        if self._pipe is not None:
            for end in self._pipe:
                os.close(end)
            self._pipe = None


def _told(name: str, count: int, *, shared: bool) -> tuple[str, str]:
    """The kind of the finding, and its text."""
    if not shared:
        return "copied-generator", (
            f"the generator {name} was copied into {count} worker processes, which all drew the same numbers from it. "
            "Make one in each worker, from torch.initial_seed() (worker_init_fn), or one for each sample from the "
            "seed and its index"
        )
    mend = "Make a generator for each task, from the config's seed and the task's number"
    if name == "random":
        return "drawn-in-pool", (
            f"{count} workers of a pool drew from `random`, and the clock decides which worker gets which task. {mend}"
        )
    return "copied-generator", (
        f"the global generator of {name} was copied into {count} forked processes, which all drew the same numbers "
        f"from it. {mend}"
    )


class _Child:
    """In a child: tells once of each generator that was drawn from."""

    def __init__(self, pipe: int, before: dict[_Place, _Position], shared: dict[_Place, Any]) -> None:
        self._pipe = pipe
        self._before = before
        self._shared = shared

    def tell(self) -> None:
        for place, generator in {**_held(), **self._shared}.items():
            if place not in self._before:
                continue
            now = _position(generator)
            if now == self._before[place]:
                continue
            if self._before.pop(place).is_before(now):
                message = json.dumps(place).encode() + b"\n"
                if len(message) <= _LONGEST:
                    with contextlib.suppress(OSError):  # nobody reads any more
                        os.write(self._pipe, message)

    def tell_at_each_result(self, results: Any) -> None:
        put = results.put

        def told_before(result: Any) -> None:
            self.tell()
            put(result)

        results.put = told_before


def _target(process: Any) -> tuple[str, str] | None:
    target = getattr(process, "_target", None)
    return None if target is None else (target.__module__, getattr(target, "__qualname__", ""))


def _shared(process: Any) -> dict[_Place, Any]:
    """The generators that the libraries share out, where the child has them as they were, at the line that made it."""
    target = _target(process)
    frame = next((f for f in callers(sys._getframe()) if is_users(f.f_code.co_filename)), None)
    if frame is None or target == _SEEDS_ITSELF:
        return {}
    found: dict[str, Any] = {}
    if target in _POOLS:
        found["random"] = random._inst
    if is_imported("numpy.random"):
        numpy_random: Any = sys.modules["numpy.random"]
        found["numpy.random"] = numpy_random.mtrand._rand
    if is_imported("torch"):
        torch: Any = sys.modules["torch"]
        found["torch"] = torch.default_generator
    return {(frame.f_code.co_filename, name, frame.f_lineno): item for name, item in found.items()}


def _held() -> dict[_Place, Any]:
    """The generators at the top of the user's modules, and in what this process was given (a dataset)."""
    found: dict[_Place, Any] = {}
    modules = users_modules()
    kinds, shared = _kinds()
    for filename, module in modules:
        for name, value in list(vars(module).items()):
            if isinstance(value, kinds) and id(value) not in shared:
                found[filename, name, None] = value
    files = {module.__name__: filename for filename, module in modules}
    process: Any = sys.modules["multiprocessing.process"].current_process()
    to_do = [(item, _DEEPEST) for item in getattr(process, "_args", ())]
    for holder, depth in to_do:  # grows while it is gone through
        file = files.get(type(holder).__module__)
        for name, value in list(getattr(holder, "__dict__", {}).items()):
            if isinstance(value, kinds):
                if file is not None and id(value) not in shared:
                    found[file, name, None] = value
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


def _line_of(file: str, name: str) -> int:
    """Where `name` is given its value."""
    with contextlib.suppress(OSError, SyntaxError, ValueError):
        for node in ast.walk(ast.parse(Path(file).read_bytes())):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    if getattr(target, "id", getattr(target, "attr", None)) == name:
                        return node.lineno
    return 1
