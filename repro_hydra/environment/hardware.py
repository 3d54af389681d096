"""Processor, memory and disk, and what a container leaves of them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import blake3
import psutil

from repro_hydra.environment.unknown import Unknown
from repro_hydra.record.environment import Cpu, Disk, Memory

_CPUINFO = Path("/proc/cpuinfo")
_CGROUP = Path("/sys/fs/cgroup")
_NO_LIMIT = 1 << 60  # cgroup v1 writes "no limit" as a number near 2**63


def describe_cpu(unknown: Unknown, *, cpuinfo: Path = _CPUINFO, cgroup: Path = _CGROUP) -> Cpu:
    """The processor; equal bits are promised only for the same one, so its flags are recorded whole."""
    facts = unknown.attempt("cpu.model", lambda: read_cpuinfo(cpuinfo)) or {}
    # Arm's kernel names neither a model nor x86's "flags" but "Features".
    flags_text = facts.get("flags", facts.get("Features"))
    flags = sorted(flags_text.split()) if flags_text is not None else None
    numbers = [facts.get(name) for name in ("cpu family", "model", "stepping")]
    affinity = None
    if hasattr(os, "sched_getaffinity"):
        affinity = unknown.attempt("cpu.affinity", lambda: sorted(os.sched_getaffinity(0)))
    return Cpu(
        model=facts.get("model name"),
        vendor=facts.get("vendor_id", facts.get("CPU implementer")),
        family_model_stepping="/".join(map(str, numbers)) if all(numbers) else None,
        flags=flags,
        flags_digest=None if flags is None else blake3.blake3(" ".join(flags).encode()).hexdigest(),
        capability=unknown.attempt("cpu.capability", _torch_capability),
        cores_physical=unknown.attempt("cpu.cores_physical", lambda: psutil.cpu_count(logical=False)),
        cores_logical=unknown.attempt("cpu.cores_logical", psutil.cpu_count),
        affinity=affinity,
        quota_cores=unknown.attempt("cpu.quota_cores", lambda: _quota(cgroup)),
    )


def read_cpuinfo(path: Path) -> dict[str, str]:
    """The first processor's lines of ``/proc/cpuinfo`` (a machine with 256 of them writes 400 KB)."""
    facts: dict[str, str] = {}
    with path.open(errors="replace") as stream:
        for line in stream:
            if not line.strip():
                break
            name, _, value = line.partition(":")
            facts[name.strip()] = value.strip()
    return facts


def _torch_capability() -> str | None:
    torch = sys.modules.get("torch")
    backends = getattr(torch, "backends", None)
    return None if backends is None else str(backends.cpu.get_cpu_capability())


def _quota(cgroup: Path) -> float | None:
    text = _read(cgroup / "cpu.max")
    if text is not None:
        quota, _, period = text.partition(" ")
        return None if quota == "max" else int(quota) / int(period)
    quota_v1, period_v1 = _read(cgroup / "cpu/cpu.cfs_quota_us"), _read(cgroup / "cpu/cpu.cfs_period_us")
    if quota_v1 is None or period_v1 is None or int(quota_v1) <= 0:
        return None
    return int(quota_v1) / int(period_v1)


def describe_memory(unknown: Unknown, *, cgroup: Path = _CGROUP) -> Memory:
    memory = unknown.attempt("memory", psutil.virtual_memory)
    return Memory(
        total_bytes=None if memory is None else memory.total,
        available_bytes=None if memory is None else memory.available,
        limit_bytes=unknown.attempt("memory.limit_bytes", lambda: _memory_limit(cgroup)),
    )


def _memory_limit(cgroup: Path) -> int | None:
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        text = _read(cgroup / name)
        if text is not None:
            return None if text == "max" or int(text) > _NO_LIMIT else int(text)
    return None


def describe_disk(unknown: Unknown, path: Path) -> Disk:
    """The file system that `path` lies on, or will: its nearest folder that exists is asked."""
    existing = path.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    usage = unknown.attempt("disk", lambda: psutil.disk_usage(str(existing)))
    return Disk(
        path=str(existing),
        total_bytes=None if usage is None else usage.total,
        free_bytes=None if usage is None else usage.free,
    )


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
