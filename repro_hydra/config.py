"""The options of ``+repro=…``, as Hydra composes and type-checks them.

Everything lives at ``hydra.callbacks.repro``: a dataclass at the top level of the user's config would break
primary configs that are themselves structured (``Key 'repro' not in 'Config'``).

This module is imported by every Hydra program in the environment (the plugin registers these classes), so it
imports dataclasses and nothing heavier.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

CALLBACK_TARGET = "repro_hydra.callback.ReproCallback"
CALLBACK_KEY = "repro"
DEFAULT_SEED = 42


class Mode(Enum):
    """How far a run is held to the promise; see the table of modes in the README."""

    strict = "strict"
    standard = "standard"
    record = "record"


class TorchDeterminism(Enum):
    """What is asked of ``torch.use_deterministic_algorithms``."""

    enforce = "enforce"
    warn = "warn"
    off = "off"


class Precision(Enum):
    """Whether float32 means float32: ``full``, or what the program chooses (``own``)."""

    full = "full"
    own = "own"


class CpuCapability(Enum):
    """A set of CPU instructions that the numeric libraries can be held to."""

    default = "default"
    avx2 = "avx2"
    avx512 = "avx512"


@dataclass
class SeedConf:
    """Which seed a run gets, and who is seeded with it."""

    set: bool = True
    """Seed the libraries before the task starts. Off in ``record`` mode."""
    key: str = "seed"
    """Where the user's config holds the seed (dots for nested keys)."""
    default: int = DEFAULT_SEED
    """Used where that key is missing or null; the record says so."""
    python: int | None = None
    """A seed of its own for `random`; null takes the run's seed. Likewise the next three."""
    numpy: int | None = None
    torch: int | None = None
    cuda: int | None = None
    rank_offset: bool = False
    """Give rank r the seed ``seed + r``, as many scripts do. Off: one that no other rank and no other seed has."""
    ranks_alike: bool = False
    """Give every rank the same seed."""
    repeats: int = 1
    """In a sweep: run each job with so many seeds, counted from its own, and give the sweeper their aggregate."""
    repeats_as: str = "mean"
    """Of a job's seeds: ``mean``, ``median``, ``interquartile_mean``, ``min`` or ``max``."""


@dataclass
class DeterminismConf:
    """The settings that make equal seeds give equal bits; ``docs/settings.md`` has them all."""

    torch: TorchDeterminism = TorchDeterminism.enforce
    threads: int | None = 1
    """Threads of OpenMP, MKL, OpenBLAS, NumExpr and torch; null leaves them as they are."""
    interpreter: bool = True
    """Hold what the interpreter must start with (hash seed, address layout, …), by one re-execution where needed."""
    precision: Precision = Precision.full
    """``full``: no TF32, no sums in reduced precision; ``own``: as the program sets it."""
    cublas_workspace: str = ":4096:8"
    """``CUBLAS_WORKSPACE_CONFIG``; only ``:4096:8`` and ``:16:8`` are deterministic."""
    mkl_cbwr: str = "AUTO"
    """``MKL_CBWR``, MKL's conditional numerical reproducibility."""
    nccl_algo: str = "Ring"
    nccl_proto: str = "Simple"
    """``NCCL_ALGO`` and ``NCCL_PROTO``: in which order the ranks' numbers are added."""
    cpu_capability: CpuCapability | None = None
    """Hold the numeric libraries to these instructions, as another CPU has them; null: all that there are."""
    time_zone: str | None = None
    """``TZ``, e.g. ``UTC``; null leaves it, recorded. Likewise the next two."""
    locale: str | None = None
    """``LC_ALL``, e.g. ``C.UTF-8``."""
    umask: str | None = None
    """In octal, e.g. ``"022"``."""


@dataclass
class EnvironmentConf:
    """What is recorded of the environment, beyond the packages."""

    lock: str | None = None
    """An environment lock (`repro-hydra env snapshot`) that the run must match; null takes the project's
    ``repro-lock.json``, where there is one."""
    verify: bool = True
    """Compare the environment with that lock."""
    exports: list[str] = field(default_factory=list)
    """Exports written beside the record: requirements, pylock, conda, dockerfile."""
    variables: list[str] = field(default_factory=list)
    """Environment variables recorded besides the default ones (secrets never are)."""


class JobVerify(Enum):
    """How a job of a sweep makes sure that a dataset is still the one that the sweep was submitted with."""

    stat = "stat"
    """By the size, times and inode of each file; only what differs there is read."""
    sample = "sample"
    """By all names and sizes, and blocks of up to 64 files."""
    full = "full"
    """By reading everything."""


@dataclass
class DataConf:
    """The datasets that a run declares."""

    root: str | None = None
    datasets: Any = None
    """A mapping of name to path, relative to `root` or to where the run was started. (Not typed: see `allow`.)"""
    auto_version: bool = False
    verify: bool = True
    job_verify: JobVerify = JobVerify.stat
    """In a sweep the datasets are hashed once, when it is submitted; its jobs look at them like this."""
    ignore: list[str] = field(default_factory=list)


@dataclass
class CodeConf:
    """How the code of a run is captured."""

    capture: bool = True
    max_file_bytes: int = 10_000_000
    """A changed or untracked file larger than this is named as not captured."""
    max_patch_bytes: int = 100_000_000
    max_bundle_bytes: int = 50_000_000
    """A bundle of what no remote has is left out above this, and named."""
    freeze: bool = True
    """Run the jobs of a sweep from a copy of the code and the configs that is made when it starts. Off in
    ``record`` mode. Off elsewhere: a file that changes while the sweep lasts fails the jobs after it."""
    freeze_dir: str | None = None
    """Where that copy lies, which every node must see; null is the user's cache folder."""


class FingerprintLevel(Enum):
    """How much of a training is fingerprinted."""

    off = "off"
    steps = "steps"
    """At each step a bounded part of the tensors, in turns; the batch, the loss, the generators."""
    full = "full"
    """At each step every tensor whole, by its name."""


@dataclass
class FingerprintConf:
    """``+repro/fingerprint=off|steps|full``: digests of a training, step by step."""

    level: FingerprintLevel = FingerprintLevel.steps
    every: int = 1
    """Only each so-manieth step of an optimizer."""


class LogFormat(Enum):
    """What a job's log is written as, beside Hydra's own text."""

    text = "text"
    json = "json"


class LogLevel(Enum):
    """The levels of `logging`."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


@dataclass
class LoggingConf:
    """``+repro/logging=default|json``: the job's log."""

    level: LogLevel | None = None
    """From which level on the job logs; null leaves it as Hydra has it."""
    format: LogFormat = LogFormat.text
    """``json`` writes ``NAME.log.jsonl`` beside Hydra's ``NAME.log``; ``text`` leaves it at that."""
    timestamps: bool = True
    """False leaves the time out of each line, so that the logs of two runs can be compared."""
    steps: bool = False
    """Log each step of the experiment: seeds set, task begun, each line of metrics, task ended."""


@dataclass
class MlflowConf:
    """``+repro/tracking=mlflow``."""

    uri: str | None = None
    """The tracking server; null takes MLflow's own ``MLFLOW_TRACKING_URI``, or its default."""
    experiment: str | None = None
    """Null takes the job's name."""
    artifacts: bool = True
    """Send the record's files too."""
    wait_s: float = 10.0
    """How long the end of a run waits for what is not sent yet; likewise below."""


@dataclass
class TensorboardConf:
    """``+repro/tracking=tensorboard``."""

    dir: str | None = None
    """Relative to the run's directory; null is ``tensorboard`` there."""
    wait_s: float = 10.0


@dataclass
class WandbConf:
    """``+repro/tracking=wandb``."""

    project: str | None = None
    """Null takes the job's name."""
    entity: str | None = None
    mode: str | None = None
    """``online`` or ``offline``; null is online where ``WANDB_API_KEY`` is set, else offline."""
    artifacts: bool = True
    wait_s: float = 10.0


@dataclass
class ToleranceConf:
    """What `reproduce` calls near enough where bits differ, unless it is told otherwise."""

    rtol: float = 1e-5
    atol: float = 1e-8
    """Within is ``|original - reproduced| <= atol + rtol * |original|``."""
    metrics: Any = None
    """Of single metrics, by name or pattern: ``{'*loss': {rtol: 0.001}}``. (Not typed: see `ReproConf.allow`.)"""


@dataclass
class ReproConf:
    """Everything at ``hydra.callbacks.repro``."""

    _target_: str = CALLBACK_TARGET
    run_mode: Any = "${hydra.mode}"
    """Filled in by Hydra: tells the callback's constructor whether a single run or a sweep is starting."""
    mode: Mode = Mode.standard
    name: str | None = None
    tags: list[str] = field(default_factory=list)
    note: str | None = None
    allow: Any = None
    """Waived findings: a mapping of id to reason. Not typed: Hydra refuses to add keys to a typed, empty mapping
    with ``key={a: b}``; `repro_hydra.session.plan.options_from` checks it instead."""
    check_only: bool = False
    """List all that would block, and run nothing."""
    resume: bool = False
    """Go on with the interrupted run in ``hydra.run.dir``, under its id; a new run where there is none."""
    wait: bool = True
    primary_metric: str | None = None
    tolerance: ToleranceConf = field(default_factory=ToleranceConf)
    seed: SeedConf = field(default_factory=SeedConf)
    determinism: DeterminismConf = field(default_factory=DeterminismConf)
    environment: EnvironmentConf = field(default_factory=EnvironmentConf)
    data: DataConf = field(default_factory=DataConf)
    code: CodeConf = field(default_factory=CodeConf)
    fingerprint: FingerprintConf = field(default_factory=FingerprintConf)
    logging: LoggingConf = field(default_factory=LoggingConf)
    tracking: dict[str, Any] = field(default_factory=dict)
    """Trackers by name; each group `repro/tracking` adds one."""
    take_metrics: bool = True
    """Also record what the task itself logs to MLflow, W&B, TensorBoard, Lightning or the HF Trainer."""
