"""The GPUs of the machine, asked without touching CUDA in this process.

Asking torch would initialise CUDA here: memory on each device, and no fork afterwards. `nvidia-smi` is a process
of its own that takes its time, so it is started first and read last.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from repro_hydra.environment.unknown import Unknown
from repro_hydra.record.environment import Accelerators, Gpu

_TIMEOUT_S = 10.0
_FIELDS = ("index", "name", "uuid", "memory.total", "compute_cap", "mig.mode.current", "driver_version")
_KERNEL_MODULE = Path("/proc/driver/nvidia")
_MIB = 1 << 20


class GpuQuery:
    """One `nvidia-smi`, started when this is made and read by `finish`."""

    def __init__(self, environ: Mapping[str, str], *, kernel_module: Path = _KERNEL_MODULE) -> None:
        self._kernel_module = kernel_module
        self._process: subprocess.Popen[str] | None = None
        self.driver: str | None = None
        command = shutil.which("nvidia-smi", path=environ.get("PATH"))
        if command is not None:
            self._process = subprocess.Popen(
                [command, f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader,nounits"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env=dict(environ),
            )

    def finish(self, unknown: Unknown) -> list[Gpu] | None:
        """The GPUs; an empty list where there is none, None (and the reason) where they could not be asked."""
        if self._process is None:
            return self._from_kernel_module(unknown)
        try:
            output, errors = self._process.communicate(timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            unknown["gpus"] = f"nvidia-smi did not answer within {_TIMEOUT_S:.0f} s"
            return None
        if self._process.returncode != 0:
            said = (errors or output).strip() or f"status {self._process.returncode}"
            if "No devices were found" in said:
                return []
            unknown["gpus"] = f"nvidia-smi: {said}"
            return self._from_kernel_module(unknown) or None
        rows = [[cell.strip() for cell in line.split(",")] for line in output.splitlines() if line.strip()]
        whole = [row for row in rows if len(row) == len(_FIELDS) and row[0].isdigit()]
        if len(whole) != len(rows):
            unknown["gpus"] = f"nvidia-smi: not understood: {output.strip()!r}"
        self.driver = whole[0][-1] if whole else None
        return [_gpu(row) for row in whole]

    def _from_kernel_module(self, unknown: Unknown) -> list[Gpu]:
        """What the kernel module says of its devices: names, no memory."""
        folders = sorted((self._kernel_module / "gpus").glob("*"))
        if folders:
            unknown.setdefault("gpus", "nvidia-smi is not on the PATH: names only, from the kernel module")
        return [gpu for index, folder in enumerate(folders) if (gpu := _from_information(index, folder))]


def _gpu(row: list[str]) -> Gpu:
    index, name, uuid, memory, capability, mig, _ = (None if cell.startswith("[") else cell for cell in row)
    return Gpu(
        index=int(index or 0),
        name=name,
        uuid=uuid,
        memory_bytes=int(memory) * _MIB if memory is not None and memory.isdigit() else None,
        compute_capability=capability,
        mig=mig,
    )


def _from_information(index: int, folder: Path) -> Gpu | None:
    try:
        lines = (folder / "information").read_text().splitlines()
    except OSError:
        return None
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Gpu(index=index, name=facts.get("Model"), uuid=facts.get("GPU UUID"))


def describe_accelerators(driver: str | None, unknown: Unknown) -> Accelerators:
    """CUDA and its libraries as an imported torch names them; none of the questions initialises CUDA.

    A task that forks children before it uses a GPU itself could otherwise use none in them.
    """
    torch: Any = sys.modules.get("torch")
    version = getattr(torch, "version", None)
    if torch is None or version is None:  # not imported, or only half so far
        return Accelerators(driver=driver)
    cuda = getattr(version, "cuda", None)
    cudnn = unknown.attempt("accelerators.cudnn", lambda: _cudnn_version(torch))
    nccl = unknown.attempt("accelerators.nccl", torch.cuda.nccl.version) if cuda else None
    return Accelerators(
        driver=driver,
        cuda=cuda,
        hip=getattr(version, "hip", None),
        cudnn=None if cudnn is None else str(cudnn),
        nccl=".".join(map(str, nccl)) if isinstance(nccl, tuple) else (str(nccl) if nccl else None),
    )


def _cudnn_version(torch: Any) -> int | None:
    # Not `torch.backends.cudnn.version()`, which looks at each device and so initialises CUDA (seen with torch 2.11).
    library = getattr(torch._C, "_cudnn", None)
    return None if library is None else int(library.getVersionInt())
