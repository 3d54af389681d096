"""Children that multiprocessing starts anew (spawn, forkserver, loky): they get their parent's settings back.

Such a child is a new interpreter. It has the parent's environment, and none of its switches: torch is not
deterministic in it, counts its threads itself, and `random` begins anywhere. What multiprocessing sends ahead to it, to
be unpickled before the program's own modules are imported, brings the settings along, and seeds of the child's own.
"""

from __future__ import annotations

import multiprocessing
import os
import site
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from blake3 import blake3
from msgspec.structs import replace

from repro_hydra.config import DeterminismConf
from repro_hydra.determinism import SettingsWatch
from repro_hydra.imports import LateImports
from repro_hydra.patches import Patches
from repro_hydra.record.schema import Finding
from repro_hydra.seed import ChosenSeeds, seed_libraries

_SENDERS = ("multiprocessing.spawn", "joblib.externals.loky.backend.spawn", "loky.backend.spawn")
"""The modules whose `get_preparation_data` makes what is sent ahead."""
WhenImported = Callable[[str, Callable[[], None]], None]
_kept: list[object] = []
"""In a child: what must live as long as it does."""


class Inheritance(msgspec.Struct, frozen=True, kw_only=True):
    """What a child gets."""

    determinism: DeterminismConf
    start: str
    seed: int | None
    """The run's; None where it sets none."""
    rank: int = 0
    path: tuple[int | str, ...] = ()
    """The how-manieth child of the how-manieth child it is."""

    def own_seed(self) -> int | None:
        """A seed that no other child, rank or run has: 128 bits, of which the first is set."""
        if self.seed is None:
            return None
        text = f"{self.seed} {self.rank} {' '.join(map(str, self.path))}"
        return int.from_bytes(blake3(text.encode()).digest(length=16), "little") | 1 << 127


class SpawnedChildren:
    """Hands the settings on while a session lasts."""

    def __init__(self, inheritance: Inheritance) -> None:
        self._inheritance = inheritance
        self._patches = Patches()
        self._count = 0
        self._owner = os.getpid()
        self._importable: bool | None = None

    def install(self, when_imported: WhenImported) -> None:
        """Stand before each sender, as soon as it is imported."""
        for name in _SENDERS:
            when_imported(name, partial(self._patch, name))

    def remove(self) -> None:
        self._patches.undo()

    def findings(self) -> list[Finding]:
        """Where a child could not import this package, it was started without."""
        if self._importable is not False:
            return []
        return [
            Finding(
                id="settings-lost-in-children",
                severity="may_change_bits",
                message=(
                    "a child was started by spawn without the settings of its parent, since repro_hydra is not "
                    "installed where a new interpreter finds it. Run: pip install repro-hydra"
                ),
            )
        ]

    def _patch(self, name: str) -> None:
        module = sys.modules[name]
        original = module.get_preparation_data

        def get_preparation_data(*given: Any, **named: Any) -> Any:
            return self._with_settings(original(*given, **named))

        self._patches.attribute(module, "get_preparation_data", get_preparation_data)

    def _with_settings(self, data: dict[str, Any]) -> dict[str, Any]:
        if self._importable is None:
            self._importable = _is_found_by_new_interpreters()
        if not self._importable:
            return data
        self._count += 1
        return _Preparation(data, replace(self._inheritance, path=(*self._inheritance.path, *self._place())))

    def _place(self) -> tuple[int | str, ...]:
        """Of the child that is being started, below this process."""
        if os.getpid() == self._owner:
            return (self._count,)
        # A forked child counts on from where its parent was; multiprocessing numbers the children that it forks.
        number = multiprocessing.current_process()._identity or (os.getpid(),)
        return f"fork {number}", self._count


class _Preparation(dict[str, Any]):
    """Preparation data that enters the settings where it is unpickled."""

    def __init__(self, data: dict[str, Any], inheritance: Inheritance) -> None:
        super().__init__(data)
        self._inheritance = inheritance

    def __reduce__(self) -> tuple[Any, ...]:
        return enter_child, (dict(self), self._inheritance)


def enter_child(data: dict[str, Any], inheritance: Inheritance) -> dict[str, Any]:
    """In the child, before the program's modules are imported: put the settings in force for its whole life."""
    late = LateImports()
    late.install()
    watch = SettingsWatch(inheritance.determinism, late.when_imported, inheritance.start)
    watch.enter()
    children = SpawnedChildren(inheritance)
    children.install(late.when_imported)
    _kept.extend((late, watch, children))
    seed = inheritance.own_seed()
    if seed is not None:
        chosen = ChosenSeeds(seed=seed, python=seed, numpy=seed, torch=seed, cuda=seed, defaulted=False)
        seed_libraries(chosen, late.when_imported)
    return data


def _is_found_by_new_interpreters() -> bool:
    """Whether the package is installed, editable or not, where an interpreter looks without being told."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        place = Path(str(distribution("repro-hydra").locate_file(""))).resolve()
    except PackageNotFoundError:
        return False
    return place in {
        Path(folder).resolve() for folder in (*site.getsitepackages(), site.getusersitepackages())
    }
