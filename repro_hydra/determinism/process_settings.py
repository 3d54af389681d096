"""The rows that concern the process: what its interpreter started with, and what it inherited from its shell."""

from __future__ import annotations

import locale
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from repro_hydra.config import DeterminismConf
from repro_hydra.determinism import addresses
from repro_hydra.determinism.interpreter import (
    CUBLAS_DETERMINISTIC,
    HASH_SEED,
    NCCL_ALGORITHMS,
    NCCL_PROTOCOLS,
    PINNED,
    THREAD_VARIABLES,
    initial_environment,
    required_variables,
)
from repro_hydra.determinism.setting import JSON, Setting, recorded

_AT_START = "the environment at the interpreter's start"
_STATUS = Path("/proc/self/status")
_LOCALTIME = Path("/etc/localtime")


def _hash_seed() -> JSON:
    # The flag is what the interpreter made of the variable; -I and -E make it ignore it.
    fixed = _fixed_hash_seed()
    return "random" if sys.flags.hash_randomization and not fixed else fixed or HASH_SEED


def _fixed_hash_seed() -> str | None:
    value = initial_environment().get("PYTHONHASHSEED")
    ignored = sys.flags.ignore_environment
    return value if value is not None and value.isdigit() and not ignored else None


def _at_start(name: str) -> Callable[[], JSON]:
    return lambda: initial_environment().get(name)


def _now(name: str) -> Callable[[], JSON]:
    return lambda: os.environ.get(name)


def _cublas_workspace() -> JSON:
    """What cuBLAS read or will read: a handle that exists keeps what was there when it was made."""
    now, at_start = os.environ.get("CUBLAS_WORKSPACE_CONFIG"), _at_start("CUBLAS_WORKSPACE_CONFIG")()
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    too_late = now != at_start and cuda is not None and cuda.is_initialized()
    return at_start if too_late else now


def _required(name: str) -> Callable[[DeterminismConf], JSON]:
    """What `required_variables` wants of the variable; the user's own choice among the deterministic ones stands."""
    return lambda options: required_variables(options, initial_environment()).get(name)


def _umask() -> JSON:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("Umask:"):
            return line.split()[1][-3:]
    now = os.umask(0o077)  # there is no way to ask but to set it
    os.umask(now)
    return f"{now:03o}"


def _time_zone() -> JSON:
    name = os.environ.get("TZ")
    if name is None and _LOCALTIME.is_symlink():
        name = str(_LOCALTIME.resolve()).partition("zoneinfo/")[2] or None
    return name or time.tzname[0]


def _start_method() -> JSON:
    used = sys.modules["multiprocessing"]
    chosen = used.get_start_method(allow_none=True)
    return chosen or f"{used.get_all_start_methods()[0]} (default)"


def _variable(name: str, why: str, option: str, *, when: str) -> Setting:
    return Setting(
        name=f"environment.{name}",
        why=why,
        when=when,
        how_probed=_AT_START,
        library=None,
        option=option,
        asked=_required(name),
        probe=_at_start(name),
    )


PROCESS_SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="hash_seed",
        why="the order in which sets and dictionaries of strings iterate",
        when="before the interpreter starts",
        how_probed=f"sys.flags.hash_randomization and {_AT_START}",
        library=None,
        option="interpreter",
        asked=lambda options: HASH_SEED if options.interpreter else None,
        probe=_hash_seed,
    ),
    Setting(
        name="address_layout",
        why="the order in which sets of objects iterate, which is that of their addresses",
        when="before the interpreter starts",
        how_probed="/proc/self/personality and /proc/sys/kernel/randomize_va_space",
        library=None,
        option="interpreter",
        asked=lambda options: "fixed" if options.interpreter else None,
        probe=addresses.layout,
        mend=lambda: f"{addresses.describe_refusal()}. Let no result depend on the order of a set of objects",
        severity="harmless",
    ),
    *(
        _variable(
            name,
            "in which order sums are taken, which depends on the number of threads",
            "threads",
            when="before the library is loaded",
        )
        for name in THREAD_VARIABLES
    ),
    _variable(
        "MKL_CBWR",
        "which code MKL takes, which otherwise depends on how memory happens to be aligned",
        "mkl_cbwr",
        when="before MKL's first call",
    ),
    Setting(
        name="cublas_workspace",
        why="which algorithm cuBLAS takes, which otherwise depends on the workspace that is free",
        when="before the first cuBLAS handle",
        how_probed="CUBLAS_WORKSPACE_CONFIG, which torch reads when it makes a handle: once CUDA is initialised, "
        "what it was at the interpreter's start",
        library=None,
        option="cublas_workspace",
        asked=_required("CUBLAS_WORKSPACE_CONFIG"),
        probe=_cublas_workspace,
        holds=lambda _asked, found: found in CUBLAS_DETERMINISTIC,
    ),
    Setting(
        name="nccl.algorithm",
        why="in which order the ranks' numbers are added; NVLS adds in the switch, in any order",
        when="before the first communicator",
        how_probed="NCCL_ALGO, which NCCL reads when it makes a communicator",
        library=None,
        option="nccl_algo",
        asked=_required("NCCL_ALGO"),
        probe=_now("NCCL_ALGO"),
        holds=lambda asked, found: found == asked or found in NCCL_ALGORITHMS,
    ),
    Setting(
        name="nccl.protocol",
        why="in which pieces the ranks' numbers are added; left alone, NCCL tunes it by size and topology",
        when="before the first communicator",
        how_probed="NCCL_PROTO, which NCCL reads when it makes a communicator",
        library=None,
        option="nccl_proto",
        asked=_required("NCCL_PROTO"),
        probe=_now("NCCL_PROTO"),
        holds=lambda asked, found: found == asked or found in NCCL_PROTOCOLS,
    ),
    *(
        _variable(
            name,
            "which instructions the kernels use: with others the same seed gives other numbers, also in randn",
            "cpu_capability",
            when="before the first operator that dispatches",
        )
        for name in PINNED
    ),
    recorded(
        "multiprocessing.start_method",
        why="how children start: by spawn and forkserver they start anew, without the settings of their parent",
        how_probed="multiprocessing.get_start_method()",
        library="multiprocessing",
        probe=_start_method,
    ),
    Setting(
        name="time_zone",
        why="what local times the program sees, in features and in names of files",
        when="before the interpreter starts",
        how_probed="TZ, else the link /etc/localtime, else time.tzname",
        library=None,
        option="time_zone",
        asked=lambda options: options.time_zone,
        probe=_time_zone,
    ),
    _variable(
        "LC_ALL",
        "how text is sorted, parsed and written by whatever asks for the user's locale",
        "locale",
        when="before the interpreter starts",
    ),
    recorded(
        "locale",
        why="how text is sorted, parsed and written",
        how_probed="locale.setlocale(locale.LC_ALL, None), which asks the C library",
        probe=lambda: locale.setlocale(locale.LC_ALL, None),
    ),
    Setting(
        name="umask",
        why="who may read the files that the program writes",
        when="any time",
        how_probed="/proc/self/status, else umask(2)",
        library=None,
        option="umask",
        asked=lambda options: None if options.umask is None else f"{int(options.umask, 8):03o}",
        probe=_umask,
        apply=lambda asked: None if asked is None else _set_umask(asked),
    ),
)


def _set_umask(octal: str) -> None:
    os.umask(int(octal, 8))
