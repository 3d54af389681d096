"""What must be in the environment when the interpreter starts, and starting it again with that.

``os.environ["PYTHONHASHSEED"] = …`` in a running process, or Hydra's ``job.env_set``, does nothing: the variable
reads 0 and ``hash("a")`` still differs. So these variables are judged by the environment at the process's start.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from repro_hydra.config import CpuCapability, DeterminismConf
from repro_hydra.determinism.addresses import fix_for_next_program
from repro_hydra.standard_streams import flush_standard_streams

HASH_SEED = "0"
"""One constant: a forked job cannot change it, and no result should depend on which."""
CUBLAS_DETERMINISTIC = (":4096:8", ":16:8")  # NVIDIA, cuBLAS documentation, "Results reproducibility"
NCCL_ALGORITHMS = ("Ring", "Tree", "CollnetDirect", "CollnetChain", "^NVLS")
"""Those that add in one order (as Megatron-LM's deterministic mode takes them); a user's choice among them stands."""
NCCL_PROTOCOLS = ("Simple", "LL", "LL128")
PINNED: dict[str, dict[CpuCapability, str]] = {
    "ATEN_CPU_CAPABILITY": {
        CpuCapability.default: "default",
        CpuCapability.avx2: "avx2",
        CpuCapability.avx512: "avx512",
    },
    "ONEDNN_MAX_CPU_ISA": {
        CpuCapability.default: "SSE41",
        CpuCapability.avx2: "AVX2",
        CpuCapability.avx512: "AVX512_CORE",
    },
    "OPENBLAS_CORETYPE": {
        CpuCapability.default: "Prescott",
        CpuCapability.avx2: "Haswell",
        CpuCapability.avx512: "SkylakeX",
    },
}
"""How each library is held to a set of instructions."""
_CBWR = {
    CpuCapability.default: "COMPATIBLE",
    CpuCapability.avx2: "AVX2",
    CpuCapability.avx512: "AVX512",
}
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
READ_AT_LIBRARY_LOAD = (
    *THREAD_VARIABLES,
    "KMP_",
    "GOMP_",
    "OMP_",
    "MKL_",
    "LD_",
    "PYTHON",
    "MALLOC_",
    "ATEN_",
    "ONEDNN_",
    "DNNL_",
    "OPENBLAS_",
    "NPY_",
    "TZ",
    "LC_",
)
"""Names, or beginnings of names, that are read when the interpreter or a library is loaded."""
_RESTARTED = "REPRO_HYDRA_RESTARTED_PID"


def required_variables(options: DeterminismConf, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that `options` wants in force from the interpreter's start.

    What the user chose among the deterministic values of a variable is kept.
    """
    required: dict[str, str] = {}
    if options.interpreter:
        required["PYTHONHASHSEED"] = HASH_SEED
        for name, wanted, deterministic in (
            ("CUBLAS_WORKSPACE_CONFIG", options.cublas_workspace, CUBLAS_DETERMINISTIC),
            ("NCCL_ALGO", options.nccl_algo, NCCL_ALGORITHMS),
            ("NCCL_PROTO", options.nccl_proto, NCCL_PROTOCOLS),
        ):
            chosen = environ.get(name)
            required[name] = wanted if chosen is None or chosen not in deterministic else chosen
        required["MKL_CBWR"] = environ.get("MKL_CBWR") or options.mkl_cbwr
    if options.threads is not None:
        required |= dict.fromkeys(THREAD_VARIABLES, str(options.threads))
    if options.cpu_capability is not None:
        required |= {name: values[options.cpu_capability] for name, values in PINNED.items()}
        required["MKL_CBWR"] = _CBWR[options.cpu_capability]
    for name, value in (("TZ", options.time_zone), ("LC_ALL", options.locale)):
        if value is not None:
            required[name] = value
    return required


def initial_environment() -> dict[str, str]:
    """The environment with which this process's interpreter started.

    Linux keeps it in /proc; a forked child shows its parent's, which is right: the interpreter started there.
    Elsewhere `os.environ` has to do, where an assignment made since is taken for one from the start.
    """
    return dict(_environment_at_start())


@lru_cache(maxsize=1)
def _environment_at_start() -> Mapping[str, str]:
    # Once: a library that renames the process (setproctitle: Ray, W&B) writes over this memory.
    try:
        data = Path("/proc/self/environ").read_bytes()
    except OSError:
        return dict(os.environ)
    pairs = (entry.partition(b"=") for entry in data.split(b"\0") if b"=" in entry)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def variables_not_in_force(required: Mapping[str, str], initial: Mapping[str, str]) -> dict[str, str | None]:
    """Those of `required` that this interpreter did not start with: name to what it had instead."""
    missing = {name: initial.get(name) for name, value in required.items() if initial.get(name) != value}
    if required.get("PYTHONHASHSEED") == HASH_SEED and sys.flags.hash_randomization:
        missing.setdefault("PYTHONHASHSEED", "ignored (python -I, -E or -R)")
    return missing


def restarted_already() -> bool:
    """Whether this very process is the restarted one; its children inherit the variable, not the number."""
    return os.environ.get(_RESTARTED) == str(os.getpid())


def restart(required: Mapping[str, str]) -> None:
    """Replace this process by the same command with `required` in its environment. Returns only by raising.

    Its memory is laid out at fixed addresses, where the kernel allows it.

    The process id stays, so that whoever waits for this process (a shell, Slurm, torchrun) notices nothing.
    """
    flush_standard_streams()
    environment = {**os.environ, **required, _RESTARTED: str(os.getpid())}
    started_in = initial_environment().get("PWD")
    if started_in and os.path.isdir(started_in) and not _script_is_here():  # noqa: PTH112
        os.chdir(started_in)  # the script changed directory at its top, and was named relative to the old one
    fix_for_next_program()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606 (no shell wanted)


def _script_is_here() -> bool:
    script = getattr(sys.modules["__main__"], "__file__", None)
    return script is None or os.path.isabs(sys.argv[0]) or os.path.exists(sys.argv[0])  # noqa: PTH110, PTH117
