"""Starts job processes, by a fork of the clean process or as fresh interpreters, and tells when each ends."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from repro_hydra.determinism.addresses import fixed_for_children
from repro_hydra.launcher.worker import interpreter_command
from repro_hydra.launcher.zygote import Event, StartJob

GRACE_S = 10.0
PRELOADABLE = ("numpy", "torch", "torch._dynamo", "scipy", "pandas", "sklearn", "lightning", "transformers")
"""Libraries that may be imported before a fork: they start no threads that a fork would break."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A job's process is gone."""

    number: int
    code: int


def can_fork() -> bool:
    """Whether this platform forks safely at all: macOS's system libraries do not, Windows cannot."""
    return sys.platform == "linux"


def libraries_to_preload(imported: Mapping[str, object]) -> list[str]:
    """Those that the script has imported at its top, and what they import later by themselves."""
    names = [name for name in PRELOADABLE if name in imported]
    if "torch" in imported and "torch._dynamo" not in names:
        names.append("torch._dynamo")  # the first optimizer imports it, for 1.2 s
    installed = tuple(sysconfig.get_path(kind) + os.sep for kind in ("purelib", "platlib"))
    for name, module in imported.items():
        # Hydra's plugins, with which a job's config is unpickled; not those that lie in the user's own folder.
        if name.startswith("hydra_plugins."):
            file = getattr(module, "__file__", None) or ""
            if name.startswith("hydra_plugins.repro_hydra_plugin") or file.startswith(installed):
                names.append(name)
    return names


class CleanProcess:
    """The parent's end of a zygote."""

    def __init__(
        self,
        environ: Mapping[str, str],
        preload: Sequence[str],
        variables: Sequence[str],
        *,
        fixed_addresses: bool = False,
    ) -> None:
        ours, theirs = socket.socketpair()
        self._control = ours
        self._receive: queue.Queue[Event | Ended | None] = queue.Queue()
        self._reader: threading.Thread | None = None
        self.environ = dict(environ)
        command = [*interpreter_command(), "-m", "repro_hydra.launcher.zygote"]
        arguments = [str(theirs.fileno()), str(os.getpid()), ",".join(preload), ",".join(variables)]
        with fixed_for_children(fixed_addresses):
            self._process = subprocess.Popen(
                [*command, *arguments],
                env=self.environ,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        theirs.close()

    def listen(self, receive: queue.Queue[Event | Ended | None]) -> None:
        """Hand every event from now on to `receive`, and a None when the process is gone."""
        self._receive = receive
        if self._reader is None:  # one reader for the life of the process: two would take each other's events
            self._reader = threading.Thread(target=self._read, name="repro-zygote", daemon=True)
            self._reader.start()
        elif not self._reader.is_alive():
            receive.put(None)

    def _read(self) -> None:
        with self._control.makefile("rb") as stream:
            for line in stream:
                self._receive.put(msgspec.json.decode(line, type=Event))
        self._receive.put(None)

    def start(self, number: int, spec: Path, outcome: Path) -> None:
        job = StartJob(number=number, spec=str(spec), outcome=str(outcome))
        self._control.sendall(msgspec.json.encode(job) + b"\n")

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(timeout=GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._control.close()


class JobPool:
    """The processes of a sweep.

    Parameters
    ----------
    clean : CleanProcess, optional
        Forks where a job allows it; None starts a fresh interpreter for each.
    fixed_addresses : bool
        Lay out the memory of fresh interpreters at fixed addresses, where the kernel allows it.
    """

    def __init__(self, clean: CleanProcess | None, *, fixed_addresses: bool = False) -> None:
        self._clean = clean
        self._fixed_addresses = fixed_addresses
        self._events: queue.Queue[Event | Ended | None] = queue.Queue()
        self._pids: dict[int, int] = {}
        self._files: dict[int, tuple[Path, Path, dict[str, str]]] = {}
        self._forked: set[int] = set()
        if clean is not None:
            clean.listen(self._events)

    def start(self, number: int, spec: Path, outcome: Path, environ: dict[str, str], *, fork: bool) -> None:
        """Start job `number`; its end is told by `next_end`."""
        self._files[number] = (spec, outcome, environ)
        if fork and self._clean is not None:
            try:
                self._clean.start(number, spec, outcome)
            except OSError:  # the clean process died: it is a convenience, not a condition
                self._clean = None
            else:
                self._forked.add(number)
                return
        self._start_fresh(number)

    def next_end(self) -> Ended:
        """Wait for the next job to end."""
        while True:
            event = self._events.get()
            if isinstance(event, Ended):
                self._pids.pop(event.number, None)
                return event
            if event is None:
                self._clean = None
                for number in sorted(self._forked):
                    # Killed with the clean process, or told to it and never started.
                    self._events.put(Ended(number=number, code=-signal.SIGKILL))
                self._forked.clear()
            elif event.kind == "started":
                self._pids[event.number] = event.pid
            elif event.kind == "unsafe":
                self._forked.discard(event.number)
                self._start_fresh(event.number)
            elif event.kind == "ended":
                self._forked.discard(event.number)
                self._pids.pop(event.number, None)
                return Ended(number=event.number, code=event.code)

    def stop_all(self, signum: int) -> None:
        """Send `signum` to every job and what it started; after a grace time kill what is left."""
        self._signal_all(signum)
        deadline = time.monotonic() + GRACE_S
        while (self._pids or self._forked) and time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                event = self._events.get(timeout=0.2)
                if isinstance(event, Event) and event.kind == "started":
                    self._pids[event.number] = event.pid
                    self._signal_all(signum)
                elif isinstance(event, (Event, Ended)) and (
                    isinstance(event, Ended) or event.kind == "ended"
                ):
                    self._pids.pop(event.number, None)
                    self._forked.discard(event.number)
                elif event is None:
                    self._forked.clear()
        self._signal_all(signal.SIGKILL)

    def _signal_all(self, signum: int) -> None:
        for pid in list(self._pids.values()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signum) if hasattr(os, "killpg") else os.kill(pid, signum)

    def _start_fresh(self, number: int) -> None:
        spec, outcome, environ = self._files[number]
        command = [*interpreter_command(), "-m", "repro_hydra.launcher.job_process"]
        # PR_SET_PDEATHSIG follows the thread that forks, so the fork is made here and not in the waiting thread.
        with fixed_for_children(self._fixed_addresses):
            process = subprocess.Popen(
                [*command, str(spec), str(outcome), str(os.getpid())],
                env=environ,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._pids[number] = process.pid

        def wait() -> None:
            self._events.put(Ended(number=number, code=process.wait()))

        threading.Thread(target=wait, name=f"repro-job-{number}", daemon=True).start()
