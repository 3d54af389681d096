"""Environment variables by an allow-list: what can change a result, and what tells where a run was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

from repro_hydra.record.redact import is_secret_name, redact
from repro_hydra.record.store import encodable

DEFAULT_VARIABLES = (
    "CUDA_VISIBLE_DEVICES", "PYTHONPATH", "LD_LIBRARY_PATH", "PATH", "HOME", "USER",
    # the interpreter and what it loads
    "PYTHON*", "LD_PRELOAD", "LD_AUDIT", "DYLD_*", "GLIBC_TUNABLES", "MALLOC_*",
    "VIRTUAL_ENV", "CONDA_DEFAULT_ENV", "CONDA_PREFIX",
    # threads and instruction sets
    "*_NUM_THREADS", "OMP_*", "KMP_*", "GOMP_*", "MKL_*", "OPENBLAS_*", "BLIS_*", "ATEN_*", "ONEDNN_*", "DNNL_*",
    "NPY_*", "NUMBA_*", "NUMEXPR_*", "RAYON_*", "POLARS_*", "VECLIB_*", "TBB_*",
    # accelerators and their libraries
    "CUDA_*", "CUBLAS_*", "CUDNN_*", "NVIDIA_*", "NCCL_*", "HIP_*", "ROCR_*", "XLA_*", "JAX_*",
    "TF_*", "KERAS_*", "USE_TORCH", "USE_TF", "USE_FLAX",
    "TORCH_*", "TORCHINDUCTOR_*", "PYTORCH_*", "TRITON_*",
    # distributed jobs
    "WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT",
    "TORCHELASTIC_*",
    # hubs: where from, and whether from the net (never their tokens)
    "HF_HOME", "HF_HUB_OFFLINE", "HF_ENDPOINT", "TRANSFORMERS_OFFLINE", "TOKENIZERS_PARALLELISM",
    # what text and time look like
    "TZ", "LANG", "LANGUAGE", "LC_*",
)  # fmt: skip
"""Names, and patterns as in a shell."""
_WHERE = (
    "PWD", "OLDPWD", "LOGNAME", "SHELL", "HOSTNAME", "HOST", "TMPDIR", "TMP", "TEMP", "TERM", "COLORTERM", "COLUMNS",
    "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR*", "EDITOR", "PAGER", "DISPLAY", "XDG_*", "SSH_*", "MPL*",
    "WANDB_*", "MLFLOW_*", "COMET_*", "NEPTUNE_*", "AWS_*", "*_CACHE", "*_CACHE_DIR", "REPRO_HYDRA_*",
    "HYDRA_FULL_ERROR",
)  # fmt: skip


def chosen_variables(environ: Mapping[str, str], more: Sequence[str] = ()) -> dict[str, str]:
    """The variables that are set and match the default list or `more`, sorted by name, without secrets."""
    chosen = _names((*DEFAULT_VARIABLES, *more))
    return {
        name: redact(encodable(value), key=name) for name, value in sorted(environ.items()) if name in chosen
    }


def is_chosen(name: str, more: Sequence[str] = ()) -> bool:
    """Whether the record holds the variable of this name, if it is set."""
    if name.startswith(("SLURM_", "SLURMD_")):
        return True
    return name in _names((*DEFAULT_VARIABLES, *more))


def only_tells_where(name: str) -> bool:
    """Whether a variable of this name says where somebody sits or where files lie, and is a secret or a switch of ours.

    What is computed must not depend on these; a script that reads them logs, finds its folders, or signs in.
    """
    return name in _names(_WHERE) or is_secret_name(name)


def slurm_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """What Slurm tells the job about itself; its credentials (``SLURM_JWT``) are redacted."""
    return {
        name: redact(encodable(value), key=name)
        for name, value in sorted(environ.items())
        if name.startswith(("SLURM_", "SLURMD_"))
    }


class _Names:
    """Names, and patterns as in a shell; one regular expression of them all would take each start 0.04 s to make."""

    def __init__(self, patterns: Sequence[str]) -> None:
        wild = [pattern for pattern in patterns if set(pattern) & set("*?[")]
        self._exact = frozenset(patterns) - frozenset(wild)
        self._beginnings = tuple(p[:-1] for p in wild if p.endswith("*") and not set(p[:-1]) & set("*?["))
        self._endings = tuple(p[1:] for p in wild if p.startswith("*") and not set(p[1:]) & set("*?["))
        simple = {*(f"{begin}*" for begin in self._beginnings), *(f"*{end}" for end in self._endings)}
        self._others = [pattern for pattern in wild if pattern not in simple]

    def __contains__(self, name: str) -> bool:
        return (
            name in self._exact
            or name.startswith(self._beginnings)
            or name.endswith(self._endings)
            or any(fnmatchcase(name, pattern) for pattern in self._others)
        )


_names = lru_cache(maxsize=8)(_Names)
