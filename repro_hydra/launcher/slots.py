"""The slots of a sweep: how many jobs at a time, and which GPUs each may see."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections.abc import Mapping, Sequence


class SlotError(ValueError):
    """Fewer GPUs than the slots need."""


def gpus_here(environ: Mapping[str, str]) -> list[str]:
    """The GPUs that this process may use: CUDA_VISIBLE_DEVICES where set, else what ``nvidia-smi`` lists."""
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        names = [name.strip() for name in visible.split(",")]
        valid = itertools.takewhile(
            lambda name: name != "-1", names
        )  # CUDA reads the list up to the first invalid one
        return [name for name in valid if name]
    if shutil.which("nvidia-smi") is None:
        return []
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return listed.stdout.split()


def share_gpus(gpus: Sequence[str], n_jobs: int, gpus_per_job: int) -> list[list[str] | None]:
    """For each slot the GPUs it sees; None where the jobs see what the parent sees.

    Raises
    ------
    SlotError
        If there are fewer than ``n_jobs * gpus_per_job``.
    """
    if gpus_per_job == 0:
        return [None] * n_jobs
    needed = n_jobs * gpus_per_job
    if len(gpus) < needed:
        raise SlotError(
            f"hydra.launcher: n_jobs={n_jobs} with gpus_per_job={gpus_per_job} needs {needed} GPUs, "
            f"found {len(gpus)}. Lower one of the two, or name them: hydra.launcher.gpus=[0,1]"
        )
    return [list(gpus[slot * gpus_per_job : (slot + 1) * gpus_per_job]) for slot in range(n_jobs)]
