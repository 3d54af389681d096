"""The record's files as typed values.

Each file opens with its ``schema``, ``"MAJOR.MINOR"``: a reader refuses an unknown major version and takes a
newer minor one, whose extra fields survive a read and a write (see `store`). Samples of each released version
are kept in ``tests/records`` and must load for ever.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

SCHEMA = "1.0"
SCHEMA_MAJOR = 1

Severity = Literal["blocks", "may_change_bits", "harmless"]
Status = Literal["created", "running", "completed", "failed", "interrupted", "preempted"]
ShownStatus = Literal["created", "running", "completed", "failed", "interrupted", "preempted", "lost"]
Upheld = Literal["yes", "no", "waived", "not_promised"]
JSON = Any  # what msgspec.json.decode gives: None, bool, int, float, str, list, dict


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Base of everything that stands in a record."""


class Finding(Part, frozen=True, kw_only=True):
    """Something that a check or the run itself brought to light."""

    id: str
    """What `allow` waives: ``kind`` or ``kind:SUBJECT``."""
    severity: Severity
    message: str
    """Where, expected, found, the next command."""
    file: str | None = None
    line: int | None = None
    waived: str | None = None
    """The reason given in the config, where it is waived."""


class ErrorInfo(Part, frozen=True, kw_only=True):
    type: str
    message: str
    traceback: str | None = None


class ProcessInfo(Part, frozen=True, kw_only=True):
    pid: int
    role: str
    covered: bool = True
    """Whether the settings were applied and watched in it."""
    started_at: str | None = None
    host: str | None = None
    ended_at: str | None = None
    """Told by ranks only."""
    error: ErrorInfo | None = None
    """What it failed with; a rank's failure is its job's."""


class SweepLink(Part, frozen=True, kw_only=True):
    id: str
    dir: str
    job_num: int


SEEDED = ("python", "numpy", "torch", "cuda")


class RunRecord(Part, frozen=True, kw_only=True):
    """``run.json``."""

    schema: str = SCHEMA
    run_id: str
    name: str | None = None
    tags: list[str] = []
    note: str | None = None
    mode: Literal["strict", "standard", "record"]
    status: Status
    upheld: Upheld = "not_promised"
    waived: dict[str, str] = {}
    seed: JSON = None
    seed_set: bool = False
    seeds: dict[str, int | None] = msgspec.field(default_factory=lambda: dict.fromkeys(SEEDED))
    """As each library answered; null where it was not seeded, or not imported."""
    created_at: str
    started_at: str | None = None
    ended_at: str | None = None
    heartbeat_at: str | None = None
    duration_s: float | None = None
    peak_memory_bytes: int | None = None
    argv: list[str] = []
    cwd: str = ""
    overrides: list[str] = []
    python: str = ""
    host: str = ""
    user: str = ""
    pid: int = 0
    pid_started_at: float | None = None
    """When process `pid` started (seconds since the epoch): a number reused by another is told apart."""
    rank: int = 0
    world_size: int = 1
    launcher: str | None = None
    sweep: SweepLink | None = None
    slurm: dict[str, JSON] = {}
    processes: list[ProcessInfo] = []
    parent_run_id: str | None = None
    restarts: list[dict[str, JSON]] = []
    findings: list[Finding] = []
    error: ErrorInfo | None = None
    primary_metric: str | None = None
    task: str | None = None
    """The task's name as Hydra has it (`hydra.job.name`)."""
    entry: dict[str, JSON] = {}
    """How the script was started: its kind (script, module), path or module name."""


class ConfigRecord(Part, frozen=True, kw_only=True):
    """``config.json``: the config that the task really got."""

    schema: str = SCHEMA
    resolved: JSON
    unresolved: JSON
    overrides: list[str] = []
    hydra_overrides: list[str] = []
    config_name: str | None = None
    config_path: str | None = None
    config_dirs: list[str] = []
    repro: JSON = None
    """The options of this package that were in force."""


class ManifestEntry(Part, frozen=True, kw_only=True):
    path: str
    """Relative to the run directory, with forward slashes."""
    blake3: str
    size_bytes: int


class Manifest(Part, frozen=True, kw_only=True):
    """``manifest.json``: made last, of each file of the record and each that the job wrote."""

    schema: str = SCHEMA
    algorithm: Literal["blake3"] = "blake3"
    files: list[ManifestEntry]
    left_out: dict[str, str] = {}
    """Path to reason: what could not be digested."""


class SweepJob(Part, frozen=True, kw_only=True):
    num: int
    overrides: list[str]
    dir: str | None
    """Relative to the sweep directory; None where only the cluster will know it."""
    seed: JSON = None
    status: Literal["planned", "completed", "failed"] = "planned"
    job_id: str | None = None
    """What the cluster calls the job (``12_3``), where it runs on one."""


class SweepRecord(Part, frozen=True, kw_only=True):
    """``sweep.json``: written before the first job, so that a seed which never ran is missed."""

    schema: str = SCHEMA
    sweep_id: str
    name: str | None = None
    mode: str
    created_at: str
    ended_at: str | None = None
    sweeper: str
    launcher: str
    argv: list[str] = []
    cwd: str = ""
    overrides: list[str] = []
    seed_key: str = "seed"
    primary_metric: str | None = None
    snapshot: str | None = None
    """The commit that holds the sweep's code."""
    host: str = ""
    pid: int = 0
    pid_started_at: float | None = None
    slurm_job_ids: list[str] = []
    detached: bool = False
    """Nobody waits for its jobs: they end without this file being told."""
    entry: dict[str, JSON] = {}
    """How the script was started; see `RunRecord.entry`."""
    resumed: list[dict[str, JSON]] = []
    """When which of its jobs were submitted again."""
    vouch: dict[str, str] = {}
    """Of whose key, and over what would be executed to go on with it: see `vouch.vouch_sweep`."""
    jobs: list[SweepJob] = []
    findings: list[Finding] = []
