"""Execute the user's script anew as ``__main__``, up to where it calls its ``@hydra.main`` function.

So its top-level code runs in each job's process, as it does in a single run: seeds drawn there, a default dtype
set there, resolvers registered there. Under cloudpickle alone all of that would be lost.
"""

from __future__ import annotations

import runpy
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from repro_hydra.program import NoProgram, Program
from repro_hydra.sites import callers

TaskFunction = Callable[[Any], Any]
TaskId = tuple[str, str]
"""Module and qualified name of the function that `hydra.main` decorates."""


class MainNotReached(Exception):
    """The script ended without calling the ``@hydra.main`` function that the sweep was started from."""


class _Done(BaseException):
    """Leaves the script once its task was run."""


def to_execute(program: Program | NoProgram) -> Program | None:
    """`program`, where executing it anew leads to the task of the sweep that is being started.

    It does where ``@hydra.main`` started that. A script that calls Hydra by itself (``hydra_zen.launch``) would start
    all that it starts once more in each job, so there the task travels by value.
    """
    return program if isinstance(program, Program) and started_by_hydra_main() else None


def started_by_hydra_main() -> bool:
    """Whether what is asked stands below a call of a function that `hydra.main` decorated."""
    return any(
        frame.f_code.co_name == "_run_hydra" and str(frame.f_globals.get("__name__")).startswith("hydra.")
        for frame in callers(sys._getframe())
    )


def task_id(task: Any) -> TaskId:
    """How a task function is known again in another process; a callable object goes by its class."""
    named = task if hasattr(task, "__qualname__") else type(task)
    return named.__module__, named.__qualname__


def prepare_interpreter(program: Program | None, argv: Sequence[str]) -> None:
    """Make ``sys.argv`` and ``sys.path`` what the interpreter would have made them for `program`."""
    sys.argv[:] = list(argv)
    if program is None:
        return
    if program.path0 is not None and (not sys.path or sys.path[0] != program.path0):
        sys.path.insert(0, program.path0)


def run_at_main(program: Program, wanted: TaskId, job: Callable[[TaskFunction], Any]) -> Any:
    """Execute `program` and call `job` with its task function, at the place where the script calls it.

    ``with`` blocks and ``try`` blocks of the script around that call are thus around the job too. A
    ``@hydra.main`` function that is called before it, and is not the wanted one, is passed over.

    Raises
    ------
    MainNotReached
        If the script ends before.
    """
    outcome: list[Any] = []

    def intercept(*_args: Any, task_function: TaskFunction, **_kwargs: Any) -> None:
        if task_id(task_function) == wanted:
            outcome.append(job(task_function))
            raise _Done

    with _hydra_intercepted(intercept):
        try:
            _execute(program)
        except _Done:
            pass
        except SystemExit:
            if not outcome:
                raise
    if not outcome:
        raise MainNotReached(
            f"{program.target} ended without calling its @hydra.main function {wanted[1]!r}. The sweep's jobs run "
            "the script from its top: is the call guarded by something that differs between processes?"
        )
    return outcome[0]


@contextmanager
def _hydra_intercepted(intercept: Callable[..., None]) -> Iterator[None]:
    import hydra.main  # noqa: F401 (makes sure that the module is there; `hydra.main` the name is the decorator)

    module: Any = sys.modules["hydra.main"]
    original = module._run_hydra
    module._run_hydra = intercept
    try:
        yield
    finally:
        module._run_hydra = original


def _execute(program: Program) -> None:
    if program.kind == "module":
        # alter_sys: the module really is sys.modules["__main__"] while it runs, so pickles find its classes.
        _run_module(program.target)
        return
    path = Path(program.target)
    module = types.ModuleType("__main__")
    module.__file__ = str(path)
    module.__builtins__ = __builtins__  # type: ignore[attr-defined]
    sys.modules["__main__"] = module
    code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    exec(code, module.__dict__)  # noqa: S102 (the user's own script, as the interpreter would run it)


def _run_module(name: str) -> None:
    # As `python -m` does it (runpy._run_module_as_main), but with the arguments left as they are.
    _, spec, code = runpy._get_module_details(name)  # type: ignore[attr-defined]
    module = types.ModuleType("__main__")
    module.__spec__ = spec
    module.__file__ = spec.origin
    module.__package__ = spec.parent
    module.__loader__ = spec.loader
    module.__builtins__ = __builtins__  # type: ignore[attr-defined]
    sys.modules["__main__"] = module
    exec(code, module.__dict__)  # noqa: S102 (the user's own module, as the interpreter would run it)
