"""Generators that forked children inherited: two workers that draw from one copied state draw the same numbers.

torch seeds NumPy's global generator in each worker of a ``DataLoader``; a ``np.random.Generator`` at the top of a
module, or held by the dataset, is copied as it is. Each child that was forked by `multiprocessing` looks at the end
whether it drew from such a copy, and tells its parent by a pipe; two that did are a finding. Children that are killed,
or were started by spawn, tell nothing.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro_hydra.imports import is_imported
from repro_hydra.sites import Site, shorten, users_modules

if TYPE_CHECKING:
    from repro_hydra.audit.watch import SeedingAudit

_LONGEST = 2000
"""Bytes of a message: one write to a pipe is whole up to 4096."""
_READ_BYTES = 1 << 20
_DEEPEST = 2
"""A subset of a dataset holds it; a dataset holds a transform."""
_MOST_OBJECTS = 200


class CopiedGenerators:
    """Told of by children, asked by the audit at its end."""

    def __init__(self, audit: SeedingAudit) -> None:
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
        if pipe is None or not is_imported("numpy.random"):
            return
        util: Any = sys.modules["multiprocessing.util"]
        before = {place: _stream(generator) for place, generator in _held().items()}
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
    """NumPy's generators at the top of the user's modules, and in what this process was given (a dataset)."""
    numpy_random: Any = sys.modules["numpy.random"]
    kinds = (numpy_random.Generator, numpy_random.RandomState)
    shared = numpy_random.mtrand._rand
    found: dict[tuple[str, str], Any] = {}
    modules = users_modules()
    for filename, module in modules:
        for name, value in list(vars(module).items()):
            if isinstance(value, kinds) and value is not shared:
                found[filename, name] = value
    files = {module.__name__: filename for filename, module in modules}
    process: Any = sys.modules["multiprocessing.process"].current_process()
    to_do = [(item, _DEEPEST) for item in getattr(process, "_args", ())]
    for holder, depth in to_do:  # grows while it is gone through
        file = files.get(type(holder).__module__)
        for name, value in list(getattr(holder, "__dict__", {}).items()):
            if isinstance(value, kinds) and value is not shared:
                if file is not None:
                    found[file, name] = value
            elif depth and hasattr(value, "__dict__") and len(to_do) < _MOST_OBJECTS:
                to_do.append((value, depth - 1))
    return found


def _stream(generator: Any) -> tuple[str, str]:
    """What tells one stream from another, and how far it was drawn."""
    bits = getattr(generator, "bit_generator", None) or generator._bit_generator
    state = bits.state
    inner = state["state"]
    which = inner.get("inc", inner.get("key"))
    return str(which if not hasattr(which, "tobytes") else hash(which.tobytes())), repr(state)


def _tell(pipe: int, before: dict[tuple[str, str], tuple[str, str]]) -> None:
    for place, generator in _held().items():
        which, drawn = before.get(place, ("", ""))
        now = _stream(generator)
        if now[0] == which and now[1] != drawn:
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
