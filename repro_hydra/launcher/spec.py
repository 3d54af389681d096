"""What a job's process is given, and what it gives back: two files in a folder that only this user can read."""

from __future__ import annotations

import pickle
import signal
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn

from repro_hydra.code.frozen_tree import FrozenTree
from repro_hydra.launcher.anew import TaskId
from repro_hydra.launcher.pickling import dumps, loads
from repro_hydra.program import Program


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """One job's process."""

    program: Program | None
    """Executed anew as ``__main__``; None where there is nothing to execute and the task travels by value."""
    task: TaskId
    argv: list[str]
    cwd: str
    environ: dict[str, str]
    work: bytes
    """A pickled callable ``work(task_function or None, environment) -> value``; read after the script's top ran."""
    frozen: FrozenTree | None = None
    """The copy of the user's tree that the job runs; None: it runs in place."""
    code_at_start: str | None = None
    """In place: the note of what the code was when the sweep began."""


class RemoteTraceback(Exception):
    """The traceback of another process, as text: shown as the cause of the error that came from there."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)

    def __str__(self) -> str:
        return f"\n{self.text}"


class JobDied(RuntimeError):
    """A job's process ended without giving anything back."""


class JobExited(RuntimeError):
    """A job left by ``sys.exit`` or an interrupt: an end of the job, and never of the worker that ran it."""


class JobNotStarted(RuntimeError):
    """A job was left out, since an earlier one had failed."""


class NotSent(RuntimeError):
    """Stands for an error, or for what a job returned, that cannot leave the job's process: its text."""


OWN_WORDS = (JobDied, JobExited, JobNotStarted, NotSent)
"""Errors whose text says all."""


def in_words(error: Any) -> str:
    """One line on what a job ended with."""
    text = str(error) if isinstance(error, OWN_WORDS) else f"{type(error).__name__}: {error}"
    return " / ".join(line.strip() for line in text.splitlines())


def write_spec(path: Path, spec: JobSpec) -> None:
    """For `read_spec`, in the job's process."""
    path.write_bytes(pickle.dumps(spec))


def read_spec(path: Path) -> JobSpec:
    """What the sweep wrote for this job."""
    spec = pickle.loads(path.read_bytes())  # noqa: S301 (this sweep's own folder, mode 0700)
    assert isinstance(spec, JobSpec)
    return spec


def write_outcome(
    path: Path,
    value: Any,
    error: BaseException | None,
    *,
    main_by_reference: bool,
    frozen: FrozenTree | None = None,
) -> None:
    """Write what the job gave back."""
    temporary = path.with_suffix(".part")
    temporary.write_bytes(pack_outcome(value, error, main_by_reference=main_by_reference, frozen=frozen))
    temporary.replace(path)


def pack_outcome(
    value: Any, error: BaseException | None, *, main_by_reference: bool, frozen: FrozenTree | None = None
) -> bytes:
    """What a job gave back, so that it can travel; what cannot is replaced by its description."""
    if error is not None:
        return _travelling_error(error, main_by_reference, frozen)
    return _travelling_value(value, main_by_reference)


def read_outcome(path: Path) -> Any:
    """The job's value; raises what the job raised, with the remote traceback as its cause.

    Raises
    ------
    FileNotFoundError
        The process ended before it wrote anything.
    """
    return unpack_outcome(path.read_bytes())


def unpack_outcome(data: bytes) -> Any:
    """The value that `pack_outcome` packed; raises the error that it did."""
    value, error, text = loads(data)
    if error is None:
        return value
    error.__cause__ = RemoteTraceback(text)
    raise error


def describe_exit(code: int) -> str:
    """A process's exit status in words; a signal by its name."""
    if code >= 0:
        return f"ended with exit status {code} and no result"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def _travelling_value(value: Any, main_by_reference: bool) -> bytes:
    try:
        data = dumps((value, None, ""), main_by_reference=main_by_reference)
        loads(data)  # as for errors, below: what cannot be read back is told here, where it has a name
        return data
    except Exception as error:  # noqa: BLE001 (a value's own __reduce__ may raise anything)
        if _left_at_home(value, error):
            return _travelling_value(value, main_by_reference)
        text = f"the job's return value ({type(value).__name__}) cannot be sent to the sweep: {error}"
        return dumps((None, TypeError(text), text), main_by_reference=False)


def _left_at_home(value: Any, problem: Exception) -> bool:
    """Put a text in the place of what a `JobReturn` holds and cannot be sent; False where that is not the cause.

    The job has ended as it has ended: that its error stays behind, or a model that it returned, changes nothing there.
    """
    if not isinstance(value, JobReturn) or isinstance(value._return_value, NotSent):
        return False
    held = value._return_value
    if isinstance(held, BaseException):
        value._return_value = NotSent(f"{type(held).__name__}: {held}")
    else:
        value._return_value = NotSent(
            f"the job's return value ({type(held).__name__}) cannot be sent: {problem}"
        )
    return True


def _travelling_error(error: BaseException, main_by_reference: bool, frozen: FrozenTree | None) -> bytes:
    text = "".join(traceback.format_exception(error))
    if frozen is not None:
        text = frozen.absolute(text)
    try:
        data = dumps((None, error, text), main_by_reference=main_by_reference)
        loads(data)  # an exception whose __init__ wants other arguments pickles, but does not come back
        return data
    except Exception:  # noqa: BLE001 (see above: told by its text instead)
        stand_in = RuntimeError(f"{type(error).__name__}: {error}")
        return dumps((None, stand_in, text), main_by_reference=False)
