"""``environment.json`` as typed values: what a run stood on besides its own code and data.

None means "could not be found out"; `EnvironmentRecord.unknown` says why, field by field.
"""

# ruff: noqa: RUF012 (msgspec gives each struct its own copy of an empty list or dict)
from __future__ import annotations

from typing import Literal

from repro_hydra.record.schema import JSON, SCHEMA, Part

OriginKind = Literal["index", "vcs", "local", "editable", "archive", "conda"]


class Source(Part, frozen=True, kw_only=True):
    """What it takes to have the same source again, as far as the installer or the repository told."""

    remote: str | None = None
    """Where the repository of an editable install is to be had from; without credentials."""
    hashes: dict[str, str] = {}
    """Of an archive that was installed by its address (PEP 610); an index's files leave none behind."""
    subdirectory: str | None = None
    """Of the repository or archive."""


class Distribution(Part, frozen=True, kw_only=True):
    """An installed distribution and where it came from."""

    name: str
    """As its metadata has it, or as its folder is named; compare by `packaging.utils.canonicalize_name`."""
    version: str | None
    kind: OriginKind | None = None
    """None: neither the installer nor a ``direct_url.json`` tells."""
    url: str | None = None
    commit: str | None = None
    """Of the repository it was installed from or, where editable, as it is checked out now."""
    editable: bool = False
    dirty: bool | None = None
    """Editable only: whether a tracked file below its source differs from `commit`. None: could not be asked."""
    installer: str | None = None
    source: Source | None = None


class Interpreter(Part, frozen=True, kw_only=True):
    version: str
    implementation: str
    executable: str | None
    prefix: str
    base_prefix: str
    build: str
    compiler: str
    flags: dict[str, JSON]
    """`sys.flags` by name."""
    gil: bool | None = None
    """Whether the global interpreter lock is on; None where this Python always has it."""


class Platform(Part, frozen=True, kw_only=True):
    system: str
    release: str
    version: str
    machine: str
    distribution: str | None = None
    libc: str | None = None


class Cpu(Part, frozen=True, kw_only=True):
    model: str | None = None
    vendor: str | None = None
    family_model_stepping: str | None = None
    flags: list[str] | None = None
    flags_digest: str | None = None
    """BLAKE3 of the sorted flags, one space between two: machines of one class have one digest."""
    capability: str | None = None
    """The instruction set that torch's kernels use in this process; None while torch is not imported."""
    cores_physical: int | None = None
    cores_logical: int | None = None
    affinity: list[int] | None = None
    """The cores that this process may run on."""
    quota_cores: float | None = None
    """A container's limit; None where there is none."""


class Memory(Part, frozen=True, kw_only=True):
    total_bytes: int | None = None
    available_bytes: int | None = None
    limit_bytes: int | None = None
    """A container's limit; None where there is none."""


class Disk(Part, frozen=True, kw_only=True):
    path: str
    total_bytes: int | None = None
    free_bytes: int | None = None


class Gpu(Part, frozen=True, kw_only=True):
    index: int
    name: str | None = None
    uuid: str | None = None
    memory_bytes: int | None = None
    compute_capability: str | None = None
    mig: str | None = None


class Accelerators(Part, frozen=True, kw_only=True):
    """The libraries below torch, as torch was built with them and found them."""

    driver: str | None = None
    cuda: str | None = None
    hip: str | None = None
    cudnn: str | None = None
    nccl: str | None = None


class ThreadPool(Part, frozen=True, kw_only=True):
    """A library with threads of its own that is loaded in this process."""

    user_api: str
    internal_api: str
    prefix: str | None = None
    version: str | None = None
    architecture: str | None = None
    threading_layer: str | None = None
    threads: int | None = None
    path: str | None = None


class EnvironmentRecord(Part, frozen=True, kw_only=True):
    """``environment.json``."""

    schema: str = SCHEMA
    interpreter: Interpreter
    platform: Platform
    cpu: Cpu
    memory: Memory
    disk: Disk | None = None
    gpus: list[Gpu] | None = None
    """All of the machine, not only those that this process may use; None: could not be asked."""
    accelerators: Accelerators = Accelerators()
    thread_pools: list[ThreadPool] | None = None
    threads: dict[str, int | None] = {}
    """Torch's own counts (`torch`, `torch_interop`), where it is imported."""
    locale: dict[str, str | None] = {}
    time_zone: dict[str, JSON] = {}
    umask: str | None = None
    limits: dict[str, list[int | None]] = {}
    """`ulimit` by name: soft and hard; null is unlimited."""
    container: dict[str, str | None] | None = None
    """None: no sign of one."""
    slurm: dict[str, str] = {}
    variables: dict[str, str] = {}
    distributions: list[Distribution] | None = None
    distributions_in: str | None = None
    """The file that holds them, relative to this one, where several runs share it."""
    distributions_digest: str | None = None
    """BLAKE3 over the canonical list; see `environment.digest_distributions`."""
    lock: dict[str, JSON] | None = None
    """The environment lock that the run was held against: its path, digest, and whether it was compared."""
    unknown: dict[str, str] = {}
    """Field to reason: what could not be found out."""
