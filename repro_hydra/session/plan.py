"""What is decided before a job's process starts, and what the job itself adds: plain, picklable values."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
from omegaconf import DictConfig, OmegaConf

from repro_hydra.code.frozen_tree import FrozenTree
from repro_hydra.composed import select
from repro_hydra.config import Mode, ReproConf, ToleranceConf
from repro_hydra.record.code import CodeRecord
from repro_hydra.record.lock import EnvironmentLock
from repro_hydra.record.schema import Finding
from repro_hydra.session.datasets import DataPlan
from repro_hydra.session.findings import Misuse
from repro_hydra.session.recorded import Recorded

NODE = "hydra.callbacks.repro"
_LARGEST = sys.float_info.max
"""Of a float: YAML has integers that are none."""


class SweepPlace(msgspec.Struct, frozen=True, kw_only=True):
    """The sweep that a job belongs to."""

    sweep_id: str
    sweep_dir: str
    """Absolute."""
    host: str
    pid: int
    pid_started_at: float
    """The process that launches its jobs, and where."""


class LockPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The environment lock as it was when the run, or its sweep, was started."""

    path: str
    blake3: str
    """Of the file."""
    lock: EnvironmentLock


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Decided once for a run, or once for all jobs of a sweep."""

    options: ReproConf
    launcher: str | None = None
    sweep: SweepPlace | None = None
    argv: list[str] = msgspec.field(default_factory=list)
    cwd: str = ""
    entry: dict[str, Any] = msgspec.field(default_factory=dict)
    code: CodeRecord | None = None
    code_files: Mapping[str, bytes] = msgspec.field(default_factory=dict)
    """Patches and bundles of a single run, by name; a sweep stores them once beside ``sweep.json``."""
    data: DataPlan | None = None
    """The declared datasets before the start; None where nobody looked."""
    lock: LockPlan | None = None
    findings: tuple[Finding, ...] = ()
    """What was found before the start; waivers are applied."""
    must_be_fresh: bool = True
    """The process must be this job's own: no job before it."""
    frozen: FrozenTree | None = None
    """The copy of the code that the jobs of a sweep run; None: they run in place."""
    code_taken_ns: int | None = None
    """When the code of a sweep was captured, in nanoseconds since the epoch."""
    code_at_start: str | None = None
    """The file that tells what the code of a sweep in place was; see `repro_hydra.code.unfrozen`."""
    recorded: Recorded | None = None
    """The run that this one reproduces."""

    @property
    def mode(self) -> Mode:
        return self.options.mode


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One job as its process finds it."""

    run_dir: Path
    config: Any
    """The config that the task gets: a `DictConfig`, or any mapping in a plain script."""
    name: str | None = None
    num: int | None = None
    """The job's number in its sweep."""
    overrides: list[str] = msgspec.field(default_factory=list)
    hydra_overrides: list[str] = msgspec.field(default_factory=list)
    config_name: str | None = None
    config_dirs: list[str] = msgspec.field(default_factory=list)

    def configured_seed(self, key: str) -> Any:
        """What the config holds at `key`; None where it is missing, null or cannot be resolved."""
        if isinstance(self.config, DictConfig):
            return select(self.config, key)
        value: Any = self.config
        for part in key.split("."):
            if not isinstance(value, Mapping) or part not in value:
                return None
            value = value[part]
        return value


def options_from(given: Mapping[str, Any] | DictConfig) -> ReproConf:
    """The typed options of what Hydra hands to the callback.

    Hydra has checked most of it by its own types; what came by another way is checked here. (Not by OmegaConf,
    which takes 20 ms for it, in every job.)

    Raises
    ------
    Misuse
        For a key or a value that the dataclasses do not have.
    """
    plain = (
        _plain(given)
        if isinstance(given, DictConfig)
        else {key: _plain(value) for key, value in given.items()}
    )
    plain["run_mode"] = None
    try:
        options = msgspec.convert(plain, ReproConf)
    except msgspec.ValidationError as error:
        raise Misuse(f"{NODE}: {error}") from None
    _refuse_unknown(plain, options, NODE)
    options.allow = _texts("allow", options.allow)
    for name, tracker in options.tracking.items():
        if tracker is not None and not isinstance(tracker, dict):
            raise Misuse(f"{NODE}.tracking.{name}: expected a mapping of options, found {tracker!r}")
    _check_tolerance(options.tolerance)
    if options.fingerprint.every < 1:
        raise Misuse(f"{NODE}.fingerprint.every: expected 1 or more, found {options.fingerprint.every}")
    options.data.datasets = _texts("data.datasets", options.data.datasets)
    return options


def _plain(value: Any) -> Any:
    if OmegaConf.is_config(value):
        return OmegaConf.to_container(value, resolve=True, enum_to_str=True)
    return value.name if isinstance(value, Enum) else value


def _refuse_unknown(plain: Mapping[Any, Any], options: Any, where: str) -> None:
    known = {field.name: getattr(options, field.name) for field in fields(options)}
    for key, value in plain.items():
        if key not in known:
            raise Misuse(f"{where}.{key}: no such option. Expected one of {', '.join(known)}")
        if is_dataclass(known[key]) and isinstance(value, Mapping):
            _refuse_unknown(value, known[key], f"{where}.{key}")


def _check_tolerance(tolerance: ToleranceConf) -> None:
    own = {} if tolerance.metrics is None else tolerance.metrics
    if not isinstance(own, dict):
        raise Misuse(
            f"{NODE}.tolerance.metrics: expected a mapping such as {{loss: {{rtol: 0.001}}}}, found {own!r}"
        )
    if own:
        tolerance.metrics = {str(name): chosen for name, chosen in own.items()}  # YAML's 1 is the metric "1"
    node = f"{NODE}.tolerance"
    usual = {"rtol": tolerance.rtol, "atol": tolerance.atol}
    for where, chosen in [(node, usual), *((f"{node}.metrics.{name}", of) for name, of in own.items())]:
        if not isinstance(chosen, dict) or not chosen or not {"rtol", "atol"}.issuperset(chosen):
            raise Misuse(f"{where}: expected rtol, atol or both, found {chosen!r}")
        for key, value in chosen.items():
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= _LARGEST:
                raise Misuse(f"{where}.{key}: expected a number of 0 or more, found {value!r}")


def _texts(name: str, value: Any) -> dict[str, str]:
    """A mapping of text to text; None is the empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(item, (str, int, float)) for item in value.values()):
        raise Misuse(f"{NODE}.{name}: expected a mapping such as {{name: text}}, found {value!r}")
    return {str(key): str(item) for key, item in value.items()}
