"""Do something as soon as a library has been imported, without importing it.

A task may import torch only inside its function. Importing it earlier for the sake of its seed would cost every
script that never needs it 1.5 s.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

Action = Callable[[], None]


def is_imported(name: str) -> bool:
    """Whether module `name` is there whole (not halfway through its own import)."""
    module = sys.modules.get(name)
    if module is None:
        return False
    spec = getattr(module, "__spec__", None)
    return not getattr(spec, "_initializing", False)


class LateImports(importlib.abc.MetaPathFinder):
    """Runs actions after a module's first import.

    One instance lives as long as a session: `install` puts it in front of the import system, `remove` takes it
    out. An action that raises makes the import raise, so that strict can't lose a setting unseen.
    """

    def __init__(self) -> None:
        self._actions: dict[str, list[Action]] = {}
        self._searching: set[str] = set()

    def when_imported(self, name: str, action: Action) -> None:
        """Run `action` now if `name` is imported already, else right after its import."""
        if is_imported(name):
            action()
        else:
            self._actions.setdefault(name, []).append(action)

    def install(self) -> None:
        sys.meta_path.insert(0, self)

    def remove(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)

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
        actions = self._actions.pop(fullname)
        spec.loader = _Loader(spec.loader, actions)
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, inner: importlib.abc.Loader, actions: list[Action]) -> None:
        self._inner = inner
        self._actions = actions

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # The module keeps its own loader: libraries read their data files and sources through it.
        module.__loader__ = self._inner
        if module.__spec__ is not None:
            module.__spec__.loader = self._inner
        self._inner.exec_module(module)
        for action in self._actions:
            action()
