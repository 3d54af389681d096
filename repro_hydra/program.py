"""How this process was started, and whether the same could be started again.

A process can be started again to put the right environment in force, and a job's process runs the user's script
anew as ``__main__``. Both need to know what was started; both are wrong under a debugger, a test runner or a
notebook, where starting again would take the tool down.
"""

from __future__ import annotations

import builtins
import os
import sys
from pathlib import Path
from typing import Any, Literal

import msgspec


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What a fresh interpreter must execute as ``__main__`` to be this program."""

    kind: Literal["script", "module"]
    target: str
    """Absolute path of the script, or the module's dotted name."""
    argv0: str
    """``sys.argv[0]`` as the program sees it."""
    cwd: str
    """Where it was started."""
    path0: str | None
    """What the interpreter puts in front of ``sys.path`` for it; None under PYTHONSAFEPATH or -P."""


class NoProgram(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing that could be started again, and why."""

    reason: str


def entry_of(program: Program | NoProgram) -> dict[str, str]:
    """How a record names what was started."""
    if isinstance(program, NoProgram):
        return {"kind": "none", "reason": program.reason}
    return {"kind": program.kind, "target": program.target, "cwd": program.cwd}


def describe_program() -> Program | NoProgram:
    """The program that this process runs as ``__main__``."""
    reason = _special_interpreter()
    if reason is not None:
        return NoProgram(reason=reason)
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    safe_path = bool(getattr(sys.flags, "safe_path", False))
    cwd = started_in()
    if spec is not None and spec.name:
        name = spec.name.removesuffix(".__main__")
        return Program(
            kind="module",
            target=name,
            argv0=sys.argv[0],
            cwd=cwd,
            path0=None if safe_path else cwd,
        )
    file = getattr(main, "__file__", None)
    if file is None:
        return NoProgram(reason="the program came from -c, standard input or an interactive session")
    path = Path(cwd, file).resolve() if not Path(file).is_absolute() else Path(file)
    if not path.is_file():
        return NoProgram(reason=f"the script {file} is not there any more")
    return Program(
        kind="script",
        target=str(path),
        argv0=sys.argv[0],
        cwd=cwd,
        path0=None if safe_path else str(path.resolve().parent),
    )


def why_not_restartable() -> str | None:
    """Why this process must not be replaced by a fresh one of the same command; None where it may."""
    reason = _special_interpreter()
    if reason is not None:
        return reason
    if sys.platform == "win32":
        return "Windows cannot replace a process in place"
    arguments = sys.orig_argv[1:]
    while arguments and arguments[0].startswith("-") and arguments[0] not in ("-", "-c", "-m"):
        takes_value = arguments[0] in ("-W", "-X", "--check-hash-based-pycs")
        arguments = arguments[2 if takes_value else 1 :]
    if not arguments or arguments[0] in ("-", "-c"):
        return "the program came from -c, standard input or an interactive session"
    return None


def ignores_environment() -> bool:
    """Whether ``python -I`` or ``-E`` made the interpreter blind to PYTHONHASHSEED."""
    return bool(sys.flags.ignore_environment)


def started_in() -> str:
    """The directory that the process was started in; the shell's PWD tells it after a ``chdir``."""
    now = os.getcwd()  # noqa: PTH109
    if os.path.isabs(sys.argv[0]) or os.path.exists(sys.argv[0]):  # noqa: PTH110, PTH117
        return now
    before = os.environ.get("PWD")
    return before if before and Path(before, sys.argv[0]).exists() else now


def _special_interpreter() -> str | None:
    if "_pytest.config" in sys.modules and "PYTEST_CURRENT_TEST" in os.environ:
        return "it runs inside pytest"
    if hasattr(builtins, "__IPYTHON__") or "ipykernel" in sys.modules:
        return "it runs inside IPython or a notebook"
    if _debugger_is_attached():
        return "a debugger is attached"
    return None


def _debugger_is_attached() -> bool:
    # `coverage run` sets a trace function too, and is no debugger.
    trace: Any = sys.gettrace()
    if trace is None:
        return False
    owner = getattr(trace, "__self__", trace)
    names = {cls.__module__ for cls in type(owner).__mro__} | {getattr(trace, "__module__", "") or ""}
    return any(name.split(".")[0] in ("bdb", "pdb", "pydevd", "_pydevd_bundle", "debugpy") for name in names)
