"""In a job's process: the frozen copy of the code stands in for the user's tree, wherever modules are imported from.

The script, ``sys.path`` as it is now, entries that the script adds later (``sys.path.append(os.getcwd())``), and what
``pip install -e .`` put in place, by a path or by a finder of its own. The working directory stays the user's.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import FileFinder, ModuleSpec
from types import ModuleType
from typing import Any

from msgspec.structs import replace

from repro_hydra.code.frozen_tree import FrozenTree
from repro_hydra.program import Program
from repro_hydra.sites import OURS

_INTERPRETERS_OWN = ("importlib", "_frozen_importlib", "_frozen_importlib_external", "repro_hydra")
_EDITABLE = "__editable__"
"""What setuptools calls the modules of its finders, whose ``MAPPING`` names the folder of each package."""


def enter(
    frozen: FrozenTree, program: Program | None, argv: Sequence[str], cwd: str
) -> tuple[Program | None, list[str]]:
    """Make this process one that runs the copy; the program and its arguments as they are there."""
    if "PYTHONPATH" in os.environ:
        os.environ["PYTHONPATH"] = search_path_in(frozen, os.environ["PYTHONPATH"])
    stand_in(frozen)
    return None if program is None else program_in(frozen, program), argv_in(frozen, argv, cwd)


def stand_in(frozen: FrozenTree) -> None:
    """From now on this process imports from the copy what it would import from the user's tree.

    What was imported before stays as it is. This package itself is not exchanged under a job that it runs.
    """
    sys.path[:] = [_instead_of(frozen, entry) for entry in sys.path]
    sys.path_hooks.insert(0, _path_hook(frozen))
    for entry in [entry for entry in sys.path_importer_cache if frozen.counterpart(entry) is not None]:
        del sys.path_importer_cache[entry]
    for module in [module for name, module in sys.modules.items() if name.startswith(_EDITABLE)]:
        mapping = getattr(module, "MAPPING", None)
        if isinstance(mapping, dict):
            for name, place in mapping.items():
                mapping[name] = _instead_of(frozen, place)
    sys.meta_path[:] = [
        finder if _module_of(finder) in _INTERPRETERS_OWN else _Redirected(finder, frozen)
        for finder in sys.meta_path
    ]


def program_in(frozen: FrozenTree, program: Program) -> Program:
    """The program as it lies in the copy; started where the user started it."""
    target = program.target
    if program.kind == "script":
        target = frozen.counterpart(target) or target
    path0 = None if program.path0 is None else _instead_of(frozen, program.path0)
    return replace(program, target=target, path0=path0)


def argv_in(frozen: FrozenTree, argv: Sequence[str], cwd: str) -> list[str]:
    """The arguments with the script's own name in the copy: what starts the script again starts the frozen one."""
    script = frozen.counterpart(os.path.join(cwd, argv[0])) if argv and argv[0] else None  # noqa: PTH118
    is_file = script is not None and os.path.isfile(script)  # noqa: PTH113
    return [script, *argv[1:]] if script is not None and is_file else list(argv)


def search_path_in(frozen: FrozenTree, variable: str) -> str:
    """A ``PYTHONPATH`` for the Python programs that the job starts."""
    return os.pathsep.join(
        _instead_of(frozen, entry) if entry else entry for entry in variable.split(os.pathsep)
    )


def _instead_of(frozen: FrozenTree, entry: str) -> str:
    """`entry` of a search path, or its counterpart; the empty one is the working directory."""
    if f"{os.path.abspath(entry)}{os.sep}".startswith(OURS):  # noqa: PTH100
        return entry
    return frozen.counterpart(entry) or entry


def _path_hook(frozen: FrozenTree) -> Callable[[str], FileFinder]:
    loaders: list[Any] = [
        (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES),
        (importlib.machinery.SourceFileLoader, importlib.machinery.SOURCE_SUFFIXES),
        (importlib.machinery.SourcelessFileLoader, importlib.machinery.BYTECODE_SUFFIXES),
    ]

    def hook(entry: str) -> FileFinder:
        place = _instead_of(frozen, entry)
        if place == entry or os.path.isfile(place):  # noqa: PTH113 (the next hook is asked; a zip is for another)
            raise ImportError("not in the user's tree")
        return FileFinder(place, *loaders)

    return hook


class _Redirected(MetaPathFinder):
    """A finder of somebody else's, with the modules that it finds in the user's tree taken from the copy."""

    def __init__(self, finder: Any, frozen: FrozenTree) -> None:
        self._finder = finder
        self._frozen = frozen

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        find = getattr(self._finder, "find_spec", None)
        spec: ModuleSpec | None = None if find is None else find(fullname, path, target)
        if spec is None:
            return None
        places = spec.submodule_search_locations
        found = [] if places is None else list(places)
        instead = [_instead_of(self._frozen, place) for place in found]
        if instead != found:  # else it stays what it is: a namespace package's grows with sys.path
            spec.submodule_search_locations = instead
        if spec.origin is None or not spec.has_location:
            return spec
        origin = _instead_of(self._frozen, spec.origin)
        if origin == spec.origin:
            return spec
        return importlib.util.spec_from_file_location(
            fullname, origin, submodule_search_locations=spec.submodule_search_locations
        )

    def __getattr__(self, name: str) -> Any:
        if name in ("_finder", "_frozen"):  # while being copied
            raise AttributeError(name)
        return getattr(self._finder, name)


def _module_of(finder: Any) -> str:
    owner = finder if isinstance(finder, type) else type(finder)
    return str(owner.__module__).partition(".")[0]
