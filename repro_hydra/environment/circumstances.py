"""What two runs stood on, held against each other: packages, interpreter, machine, variables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import msgspec

from repro_hydra.record.environment import Distribution, EnvironmentRecord
from repro_hydra.record.reproduction import Area
from repro_hydra.record.schema import JSON, Severity

NUMERIC_VARIABLES = (
    "*_NUM_THREADS", "PYTHONHASHSEED", "OMP_*", "KMP_*", "MKL_*", "OPENBLAS_*", "ATEN_*", "ONEDNN_*", "DNNL_*",
    "CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE", "NCCL_ALGO", "NCCL_PROTO", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)  # fmt: skip
"""Variables that change how numbers are computed."""
_PLACES = (
    "PATH", "HOME", "USER", "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "PYTHONPATH", "LD_LIBRARY_PATH",
    "MASTER_PORT", "HF_HOME", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONSTARTUP", "PYTHONPYCACHEPREFIX",
    "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "PYTHON_*",
)  # fmt: skip
"""Variables that say where things lie: two machines never share them, and results seldom depend on them."""
NUMERIC_PACKAGES = (
    "torch", "numpy", "scipy", "pandas", "scikit-learn", "jax", "jaxlib", "tensorflow", "torchvision", "lightning",
    "pytorch-lightning", "transformers", "xgboost", "lightgbm", "mkl", "triton",
)  # fmt: skip
_OURS = ("repro-hydra", "repro_hydra")


class Circumstance(NamedTuple):
    """One value that is not the same on both sides."""

    area: Area
    key: str
    a: JSON
    b: JSON
    severity: Severity
    weight: int
    """Lower explains a differing result better; see `differences`."""


def differing_environments(
    a: EnvironmentRecord,
    b: EnvironmentRecord,
    packages_a: Sequence[Distribution] | None,
    packages_b: Sequence[Distribution] | None,
) -> Iterator[Circumstance]:
    """All that can bear on a result and differs. What one side could not find out is no difference."""
    yield from _packages(packages_a, packages_b)
    yield from _interpreter(a, b)
    yield from _hardware(a, b)
    yield from _variables(a.variables, b.variables)
    for name in sorted({*a.locale} | {*b.locale}):
        yield from _unequal(
            "environment", f"locale.{name}", a.locale.get(name), b.locale.get(name), "harmless", 72
        )


def canonical(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _packages(a: Sequence[Distribution] | None, b: Sequence[Distribution] | None) -> Iterator[Circumstance]:
    if a is None or b is None:
        return
    before = {canonical(item.name): item for item in a}
    after = {canonical(item.name): item for item in b}
    for name in sorted({*before, *after}):
        one, other = before.get(name), after.get(name)
        told, found = _told(one), _told(other)
        if told == found:
            continue
        numeric = name in NUMERIC_PACKAGES
        severity: Severity
        if one is None:  # more than the original had: seldom the reason
            severity, weight = "harmless", 60
        elif canonical(name) in _OURS:
            severity, weight = "harmless", 61
        else:
            severity, weight = "may_change_bits", 30 if numeric else 40
        yield Circumstance("environment", f"packages.{name}", told, found, severity, weight)


def _told(item: Distribution | None) -> str | None:
    if item is None:
        return None
    commit = f"@{item.commit[:12]}" if item.commit and not item.editable else ""
    return f"{item.version or 'unknown'}{commit}"


def _interpreter(a: EnvironmentRecord, b: EnvironmentRecord) -> Iterator[Circumstance]:
    one, other = a.interpreter, b.interpreter
    same_minor = one.version.split(".")[:2] == other.version.split(".")[:2]
    yield from _unequal(
        "environment", "python", one.version, other.version, "may_change_bits", 42 if same_minor else 28
    )
    yield from _unequal(
        "environment", "implementation", one.implementation, other.implementation, "may_change_bits", 28
    )
    for flag in ("optimize", "utf8_mode", "dev_mode", "int_max_str_digits"):
        yield from _unequal(
            "environment", f"flags.{flag}", one.flags.get(flag), other.flags.get(flag), "may_change_bits", 45
        )
    yield from _unequal("environment", "system", a.platform.system, b.platform.system, "may_change_bits", 35)
    yield from _unequal("environment", "libc", a.platform.libc, b.platform.libc, "may_change_bits", 46)
    yield from _unequal("environment", "kernel", a.platform.release, b.platform.release, "harmless", 74)


def _hardware(a: EnvironmentRecord, b: EnvironmentRecord) -> Iterator[Circumstance]:
    yield from _unequal(
        "hardware", "cpu.capability", a.cpu.capability, b.cpu.capability, "may_change_bits", 24
    )
    yield from _unequal("hardware", "machine", a.platform.machine, b.platform.machine, "may_change_bits", 24)
    yield from _unequal(
        "hardware", "cpu.flags", a.cpu.flags_digest, b.cpu.flags_digest, "may_change_bits", 32
    )
    yield from _unequal("hardware", "cpu.model", a.cpu.model, b.cpu.model, "harmless", 55)
    yield from _unequal(
        "hardware", "cpu.cores_logical", a.cpu.cores_logical, b.cpu.cores_logical, "harmless", 56
    )
    one, other = _gpus(a), _gpus(b)
    yield from _unequal("hardware", "gpus", one, other, "may_change_bits", 25)
    before, after = msgspec.structs.asdict(a.accelerators), msgspec.structs.asdict(b.accelerators)
    for name in before:
        yield from _unequal("hardware", name, before[name], after[name], "may_change_bits", 38)
    for pool in sorted({*_pools(a)} & {*_pools(b)}):
        yield from _unequal("environment", pool, _pools(a)[pool], _pools(b)[pool], "may_change_bits", 33)


def _gpus(record: EnvironmentRecord) -> list[str] | None:
    return None if record.gpus is None else sorted(gpu.name or "unknown" for gpu in record.gpus)


def _pools(record: EnvironmentRecord) -> dict[str, Any]:
    return {
        f"{pool.internal_api}.{what}": value
        for pool in record.thread_pools or []
        for what, value in (("version", pool.version), ("architecture", pool.architecture))
    }


def _variables(a: Mapping[str, str], b: Mapping[str, str]) -> Iterator[Circumstance]:
    for name in sorted({*a, *b}):
        if a.get(name) == b.get(name) or any(fnmatchcase(name, place) for place in _PLACES):
            continue
        numeric = any(fnmatchcase(name, pattern) for pattern in NUMERIC_VARIABLES)
        yield Circumstance(
            "determinism" if numeric else "environment",
            f"variables.{name}",
            a.get(name),
            b.get(name),
            "may_change_bits" if numeric else "harmless",
            20 if numeric else 50,
        )


def _unequal(
    area: Area, key: str, a: JSON, b: JSON, severity: Severity, weight: int
) -> Iterator[Circumstance]:
    if a != b and a is not None and b is not None:
        yield Circumstance(area, key, a, b, severity, weight)
