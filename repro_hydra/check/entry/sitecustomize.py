"""Puts the conditions of a check in force at the interpreter's start; the environment's own sitecustomize runs too."""

import importlib.machinery
import importlib.util
import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 (pathlib is not imported at this point)


def _run_the_environments_own() -> None:
    others = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != _HERE]  # noqa: PTH100
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def _put_in_force() -> None:
    try:
        from repro_hydra.check.inside.start import start
    except ImportError:
        return  # another interpreter, without this package: the parent sees that nobody signed in
    start()


_run_the_environments_own()
_put_in_force()
