"""The machine that a job lands on, held against the one that submitted it and those of the sweep's other jobs.

A cluster's nodes are of several kinds. The same Python and packages are needed for the same bits, and so is the same
instruction set: under another one even ``randn`` gives other numbers.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from repro_hydra.environment.hardware import describe_cpu
from repro_hydra.environment.unknown import Unknown
from repro_hydra.record.paths import SweepPaths
from repro_hydra.record.schema import Finding

CHOOSES_INSTRUCTIONS = (
    "ATEN_CPU_CAPABILITY",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
)
"""Variables by which the numeric libraries choose their kernels."""
PINNED_BY = "ATEN_CPU_CAPABILITY"
PIN = "hydra.callbacks.repro.determinism.cpu_capability=avx2"
PYTHON, CPU = "node-python-differs", "node-cpu-differs"


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What of a machine the bits of a job depend on."""

    name: str
    python: str
    """Implementation, version and build."""
    cpu_model: str | None
    cpu_flags: str | None
    """A digest of what the processor says it can do; None where it does not say."""
    chosen: dict[str, str]
    """Those of `CHOOSES_INSTRUCTIONS` that are set."""

    @property
    def instructions(self) -> tuple[str | None, dict[str, str]]:
        return self.cpu_flags, self.chosen


def this_host(environ: Mapping[str, str]) -> HostFacts:
    """The facts of this machine, as this process sees it."""
    cpu = describe_cpu(Unknown())
    return HostFacts(
        name=environ.get("SLURMD_NODENAME") or platform.node(),
        python=f"{platform.python_implementation()} {platform.python_version()} ({sys.prefix})",
        cpu_model=cpu.model,
        cpu_flags=cpu.flags_digest,
        chosen={name: environ[name] for name in CHOOSES_INSTRUCTIONS if name in environ},
    )


def host_findings(
    submitter: HostFacts, here: HostFacts, sweep_dir: Path, required: Mapping[str, str]
) -> list[Finding]:
    """What of this machine may give a job other bits than the sweep's other jobs get.

    The first job to start on the cluster sets the instruction set that the others must have: the machine that
    submits is often of another kind than the nodes, and computes nothing.

    Parameters
    ----------
    required : mapping
        The variables that the job had to start with: a pinned instruction set is among them.
    """
    found = []
    if here.python != submitter.python:
        found.append(
            Finding(
                id=PYTHON,
                severity="blocks",
                message=(
                    f"node {here.name}: expected {submitter.python} as on {submitter.name}, found {here.python}. "
                    "Install the same there, or leave the node out: hydra.launcher.exclude=NODE"
                ),
            )
        )
    first = _first_host(sweep_dir, here)
    pinned = PINNED_BY in required
    for other, severity in ((first, "harmless" if pinned else "blocks"), (submitter, "harmless")):
        if here.instructions == other.instructions or (other is submitter and found and found[-1].id == CPU):
            continue
        found.append(
            Finding(
                id=CPU,
                severity="blocks" if severity == "blocks" else "harmless",
                message=(
                    f"node {here.name}: expected the instruction set of {other.name} ({_cpu(other)}), found "
                    f"{_cpu(here)}: the same seed may give other bits there. Choose nodes of one kind "
                    "(hydra.launcher.constraint=…), or pin the instruction set "
                    f"({'it is pinned' if pinned else PIN})"
                ),
            )
        )
    return found


def _first_host(sweep_dir: Path, here: HostFacts) -> HostFacts:
    """The facts that the first of the sweep's jobs left; this job's own where it is the first."""
    queue = SweepPaths(sweep_dir).queue
    file = queue / "first-host.json"
    mine = queue / f".first-host.{here.name}.{os.getpid()}"
    try:
        mine.write_bytes(msgspec.json.encode(here))
        try:
            os.link(mine, file)  # one of them succeeds, on NFS too, and the file is whole at once
        except FileExistsError:
            return msgspec.json.decode(file.read_bytes(), type=HostFacts)
        finally:
            mine.unlink()
    except FileNotFoundError:  # the sweep's folder is being cleared: nobody is left to differ from
        return here
    return here


def _cpu(host: HostFacts) -> str:
    flags = "unknown" if host.cpu_flags is None else host.cpu_flags[:12]
    chosen = "".join(f", {name}={value}" for name, value in sorted(host.chosen.items()))
    return f"{host.cpu_model or 'an unnamed processor'}, flags {flags}{chosen}"
