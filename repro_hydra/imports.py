"""Do something as soon as a library has been imported, without importing it.

A task may import torch only inside its function. Importing it earlier for the sake of its seed would cost every
script that never needs it 1.5 s.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

Action = Callable[[], None]
_EXECUTED = "_repro_hydra_executed"
"""Set on a module's spec while our actions run: its code is done, though the import system is not."""


def is_imported(name: str) -> bool:
    """Whether module `name` is there whole (not halfway through its own import)."""
    module = sys.modules.get(name)
    if module is None:
        return False
    spec = getattr(module, "__spec__", None)
    return getattr(spec, _EXECUTED, False) or not getattr(spec, "_initializing", False)


class LateImports(importlib.abc.MetaPathFinder):
    """Runs actions after a module's first import.

    One instance lives as long as a session: `install` puts it in front of the import system, `remove` takes it
    out. An action that raises makes the import raise, so that strict can't lose a setting unseen; where an import
    failed, a later one runs the actions. A search alone (``find_spec("torch")``, as many libraries do to see what
    there is) uses none up.
    """

    def __init__(self) -> None:
        self._actions: dict[str, list[Action]] = {}
        self._searching: set[str] = set()

    def when_imported(self, name: str, action: Action) -> None:
        """Run `action` now if `name` is imported already, else right after its import."""
        if name in sys.modules and not is_imported(name):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)  # another thread is at it, past our finder: wait for that
        if is_imported(name):
            action()
        else:
            self._actions.setdefault(name, []).append(action)

    def install(self) -> None:
        sys.meta_path.insert(0, self)

    def remove(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        self._actions.clear()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec that the other finders give, with a loader that runs the actions after the module's code."""
        if fullname not in self._actions or fullname in self._searching:
            return None
        self._searching.add(fullname)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._searching.discard(fullname)
        if spec is None or spec.loader is None:
            return None
        spec.loader = _Loader(spec.loader, self)
        return spec

    def run_actions(self, name: str) -> None:
        """Run what waits for `name`, each action once. Where one raises, all wait for the next import."""
        for action in self._actions.get(name, []):
            action()
        self._actions.pop(name, None)


class _Loader(importlib.abc.Loader):
    """The module's own loader, and then the actions."""

    def __init__(self, inner: importlib.abc.Loader, late: LateImports) -> None:
        self._inner = inner
        self._late = late

    def __getattr__(self, name: str) -> Any:
        if name == "_inner":  # while being copied or unpickled
            raise AttributeError(name)
        return getattr(self._inner, name)  # whoever only searched may ask for the file, the source, the data

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # The module keeps its own loader: libraries read their data files and sources through it.
        spec = module.__spec__
        module.__loader__ = self._inner
        if spec is not None:
            spec.loader = self._inner
        self._inner.exec_module(module)
        setattr(spec, _EXECUTED, True)
        self._late.run_actions(module.__name__)
        delattr(spec, _EXECUTED)
