"""A clean process that has imported the heavy libraries and forks a job whenever it is told to.

Importing torch takes seconds, forking a process that has done so 0.03 s. It imports nothing of the user's and runs
no operator: once OpenMP has started its threads, a forked child hangs in its first parallel region. Each fork is
therefore preceded by a look at the threads and at CUDA.

The parent writes one line a job to this process's control socket, and reads one line an event from it.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import select
import signal
import socket
import sys
import threading
import traceback
import warnings
import weakref
from pathlib import Path
from typing import Any

import msgspec

from repro_hydra.launcher.job_process import die_with_parent, run_spec
from repro_hydra.standard_streams import flush_standard_streams

NEEDED_BY_EACH_JOB = (
    "hydra.main",
    "hydra._internal.logging_config",
    "hydra.experimental.callback",
    "repro_hydra.callback",
    "repro_hydra.groups",
    "repro_hydra.launcher.frozen",
    "repro_hydra.launcher.stand_in",
    "repro_hydra.launcher.work",
)
"""Hydra's and ours: imported once here, where each fork would import them for 0.15 s."""


class StartJob(msgspec.Struct, frozen=True, kw_only=True):
    """Parent to zygote."""

    number: int
    spec: str
    outcome: str


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Zygote to parent."""

    kind: str
    """``ready``, ``started``, ``ended`` (with `code`) or ``unsafe`` (with the reason in `text`)."""
    number: int = -1
    pid: int = 0
    code: int = 0
    """Exit status; minus the signal's number where one killed it."""
    text: str = ""


def native_threads() -> int | None:
    """Threads of this process, the native ones included; None where the platform does not tell."""
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208 (a count, on the path of each fork)
    except OSError:
        return None


def why_unsafe_to_fork(threads_after_import: int | None) -> str | None:
    """Why a fork now could hang or break the child; None where it is safe."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "CUDA is initialised"
    now = native_threads()
    if now is None or threads_after_import is None:
        return "the platform does not tell how many threads there are"
    if now > threads_after_import:
        return f"{now - threads_after_import} threads were started since the imports"
    return None


class Zygote:
    """The loop of the clean process."""

    def __init__(self, control: socket.socket, preload: list[str], variables: list[str]) -> None:
        self._control = control
        self._children: dict[int, int] = {}
        self._preload(preload)
        _leave_finalizers_to_this_process()
        self._environment = self._capture(variables)
        self._threads = native_threads()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        os.set_blocking(self._wake_read, False)
        signal.set_wakeup_fd(self._wake_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the sweep decides what an interrupt means
        self._send(Event(kind="ready"))

    def serve(self) -> None:
        """Fork on request until the parent closes the socket; then end the jobs that still run."""
        buffer = b""
        while True:
            readable, _, _ = select.select([self._control.fileno(), self._wake_read], [], [])
            if self._wake_read in readable:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_read, 4096)
                self._reap()
            if self._control.fileno() in readable:
                data = self._control.recv(65536)
                if not data:
                    break
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    self._start(msgspec.json.decode(line, type=StartJob))
        for pid in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGTERM)

    def _start(self, job: StartJob) -> None:
        reason = why_unsafe_to_fork(self._threads)
        if reason is not None:
            self._send(Event(kind="unsafe", number=job.number, text=reason))
            return
        parent = os.getpid()
        with warnings.catch_warnings():
            # Python 3.12 warns of any other thread; ours are OpenBLAS's, which has its own handlers for forks.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            self._become_job(job, parent)
        self._children[pid] = job.number
        self._send(Event(kind="started", number=job.number, pid=pid))

    def _become_job(self, job: StartJob, parent: int) -> None:
        """In the child: run the job and leave without this process's own clean-up. Never returns."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for signum in (signal.SIGCHLD, signal.SIGINT):
                signal.signal(
                    signum, signal.SIG_DFL if signum == signal.SIGCHLD else signal.default_int_handler
                )
            os.setsid()
            die_with_parent(parent)
            self._control.close()
            os.close(self._wake_read)
            os.close(self._wake_write)
            _new_entropy()
            run_spec(Path(job.spec), Path(job.outcome), self._environment)
            code = 0
        except BaseException:  # noqa: BLE001 (the last stop before _exit: tell it, whatever it is)
            traceback.print_exc()
        finally:
            _leave(code)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            number = self._children.pop(pid, None)
            if number is not None:
                code = os.waitstatus_to_exitcode(status)
                self._send(Event(kind="ended", number=number, pid=pid, code=code))

    def _send(self, event: Event) -> None:
        with contextlib.suppress(BrokenPipeError):  # the parent is gone; PR_SET_PDEATHSIG ends this process
            self._control.sendall(msgspec.json.encode(event) + b"\n")

    def _preload(self, names: list[str]) -> None:
        for name in (*names, *NEEDED_BY_EACH_JOB):
            try:
                importlib.import_module(name)
            except ImportError:
                continue  # the job itself will say so, if it needs it

    def _capture(self, variables: list[str]) -> Any:
        from repro_hydra.environment import capture_environment, list_distributions

        try:
            return capture_environment(
                variables=variables, environ=os.environ, distributions=list_distributions()
            )
        except Exception:  # noqa: BLE001 (each job then captures its own, and says what fails)
            return None


def _leave_finalizers_to_this_process() -> None:
    """What libraries clean up at their exit is this process's, not that of each fork.

    torch takes 174 operator libraries out of its dispatcher, for 0.03 s. Finalizers that a job makes still run.
    """
    for finalizer in list(getattr(weakref.finalize, "_registry", {})):
        finalizer.atexit = False


def _new_entropy() -> None:
    """Give back what a fork takes: two unseeded jobs must not draw the same numbers.

    `random` reseeds itself in a forked child; NumPy's global generator does not. A run's seeds come later.
    """
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()


def _leave(code: int) -> None:
    """End a forked job: what an interpreter does at its end, without taking torch apart piece by piece."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        flush_standard_streams()
    except BaseException:  # noqa: BLE001 (a user's exit function may raise anything; the job is done)
        traceback.print_exc()
    finally:
        os._exit(code)


def main(arguments: list[str]) -> int:
    """``python -m repro_hydra.launcher.zygote FD PARENT PRELOAD VARIABLES`` (the last two comma-separated)."""
    descriptor, parent, preload, variables = arguments
    die_with_parent(int(parent))
    if not getattr(sys.flags, "safe_path", False) and sys.path and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109
        del sys.path[0]  # `python -m` put it there; each job brings its own
    with socket.socket(fileno=int(descriptor)) as control:
        Zygote(control, _names(preload), _names(variables)).serve()
    return 0


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
