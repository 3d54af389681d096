"""What this process is: fresh or not, whose child, which rank. The only state that outlives a session."""

from __future__ import annotations

import getpass
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil

from repro_hydra.record.status import process_is_alive

RUN_VARIABLE = "REPRO_HYDRA_RUN_DIR"
PID_VARIABLE = "REPRO_HYDRA_RUN_PID"

_jobs_in_this_process: list[int] = []  # process ids: a fork inherits the list, but not the number


class ParentRun(msgspec.Struct, frozen=True, kw_only=True):
    """The run that this process is a child of."""

    run_dir: Path
    pid: int


def note_job() -> None:
    """This process has begun a job."""
    _jobs_in_this_process.append(os.getpid())


def is_fresh() -> bool:
    """Whether no job ran in this process before."""
    return os.getpid() not in _jobs_in_this_process


def parent_run(environ: Mapping[str, str]) -> ParentRun | None:
    """The live run whose process started this one (directly or not); None for a process of its own."""
    run_dir, pid_text = environ.get(RUN_VARIABLE), environ.get(PID_VARIABLE)
    if not run_dir or not pid_text or not pid_text.isdigit():
        return None
    pid = int(pid_text)
    if pid == os.getpid() or not process_is_alive(pid, None):
        return None
    return ParentRun(run_dir=Path(run_dir), pid=pid) if _is_ancestor(pid) else None


@contextmanager
def announced(run_dir: Path) -> Iterator[None]:
    """Tell the children that are started meanwhile whose they are."""
    before = {name: os.environ.get(name) for name in (RUN_VARIABLE, PID_VARIABLE)}
    os.environ[RUN_VARIABLE] = str(run_dir)
    os.environ[PID_VARIABLE] = str(os.getpid())
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def rank_and_world(environ: Mapping[str, str]) -> tuple[int, int]:
    """This process's rank and the number of ranks, as torchrun or Slurm's ``srun`` tell them; else 0 of 1."""
    for rank_name, world_name in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")):
        rank, world = environ.get(rank_name, ""), environ.get(world_name, "")
        if rank.isdigit() and world.isdigit() and int(world) > 1:
            return int(rank), int(world)
    return 0, 1


def started_at(pid: int | None = None) -> float:
    """When the process started, in seconds since the epoch."""
    return psutil.Process(pid).create_time()


def host() -> str:
    return platform.node()


def user() -> str:
    """The user's name; the number where no name is known (containers)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"


def peak_memory_bytes() -> int | None:
    """The largest resident set of this process so far; None where the platform does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _is_ancestor(pid: int) -> bool:
    try:
        return any(parent.pid == pid for parent in psutil.Process().parents())
    except psutil.Error:
        return False
