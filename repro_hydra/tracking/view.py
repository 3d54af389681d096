"""A run as trackers see it: read from its record, and from nowhere else."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from repro_hydra.record.code import CodeRecord
from repro_hydra.record.data import DataRecord
from repro_hydra.record.find import read_result
from repro_hydra.record.manifest import digest_file
from repro_hydra.record.paths import ATTEMPTS, CHECKPOINTS, TRACKING, RunPaths
from repro_hydra.record.plain_file import open_plain
from repro_hydra.record.redact import redact
from repro_hydra.record.schema import JSON, ConfigRecord, RunRecord, ShownStatus
from repro_hydra.record.status import shown_status
from repro_hydra.record.store import RecordError, read
from repro_hydra.record.values import from_json_number

T = TypeVar("T", bound=msgspec.Struct)


class RunView:
    """Reads one run's record. Make a new one for a newer look."""

    def __init__(self, run_dir: Path) -> None:
        self.paths = RunPaths(run_dir)

    @cached_property
    def run(self) -> RunRecord:
        return read(self.paths.run, RunRecord)

    @cached_property
    def status(self) -> ShownStatus:
        """As people are shown it: of a run whose process is gone, ``lost``."""
        return shown_status(self.run, host=platform.node(), now=datetime.now(timezone.utc))

    @property
    def ended(self) -> bool:
        return self.status not in ("created", "running")

    @property
    def display_name(self) -> str:
        """The name that the user gave, or the task's with the beginning of the run's id."""
        return self.run.name or f"{self.run.task or 'run'}-{self.run.run_id[:8]}"

    @cached_property
    def code(self) -> CodeRecord | None:
        return _optional(self.paths.code, CodeRecord)

    @cached_property
    def data(self) -> DataRecord | None:
        return _optional(self.paths.data, DataRecord)

    @cached_property
    def params(self) -> dict[str, JSON]:
        """The resolved config with nested keys joined by dots, without secrets."""
        config = _optional(self.paths.config, ConfigRecord)
        return dict(_flat(redact(config.resolved), "")) if config is not None else {}

    @cached_property
    def result(self) -> dict[str, float]:
        """The numbers of ``result.json``."""
        try:
            raw = read_result(str(self.paths.run_dir))
        except RecordError:
            return {}
        numbers = {name: from_json_number(value) for name, value in (raw or {}).items()}
        return {name: number for name, number in numbers.items() if number is not None}

    @cached_property
    def first_metrics(self) -> list[str]:
        """The names in the first line of ``metrics.jsonl``, while there is no result yet."""
        try:
            with open_plain(self.paths.metrics) as stream:
                names = msgspec.json.decode(stream.readline(), type=dict[str, Any])
        except (OSError, msgspec.DecodeError):
            return []
        return [name for name in names if name not in ("step", "time")]

    @cached_property
    def last_step(self) -> int:
        """The highest step that was logged; 0 where none was."""
        try:
            with open_plain(self.paths.metrics) as stream:
                return max((_step_of(line) for line in stream), default=0)
        except OSError:
            return 0

    @cached_property
    def manifest_digest(self) -> str | None:
        """BLAKE3 of the manifest: an anchor outside of the record."""
        try:
            return digest_file(self.paths.manifest)
        except OSError:
            return None

    @property
    def as_closed(self) -> str:
        """What a tracker is told at the end, in short: another text is another end."""
        return f"{self.status} {self.run.ended_at or self.run.heartbeat_at} {self.manifest_digest}"

    def record_files(self) -> list[Path]:
        """The record's own files: not how far the trackers are, no checkpoint, and no output of an attempt."""
        files = (path for path in self.paths.record.rglob("*") if path.is_file() and not path.is_symlink())
        return sorted(
            path
            for path in files
            if (parts := path.relative_to(self.paths.record).parts)[0] not in (TRACKING, CHECKPOINTS)
            and not (parts[0] == ATTEMPTS and "outputs" in parts)
            and path.suffix != ".tmp"
        )

    @cached_property
    def facts(self) -> dict[str, str]:
        """What identifies the run and says what it is worth: for tags."""
        run = self.run
        facts = {
            "repro_hydra.run_id": run.run_id,
            "repro_hydra.mode": run.mode,
            "repro_hydra.status": self.status,
            "repro_hydra.upheld": run.upheld,
            "repro_hydra.seed": str(run.seed),
            "repro_hydra.directory": str(self.paths.run_dir),
        }
        if run.sweep is not None:
            facts["repro_hydra.sweep_id"] = run.sweep.id
            facts["repro_hydra.job_num"] = str(run.sweep.job_num)
        if run.tags:
            facts["repro_hydra.tags"] = ",".join(run.tags)
        if run.waived:
            facts["repro_hydra.waived"] = "; ".join(f"{name}: {why}" for name, why in run.waived.items())
        if self.code is not None and self.code.snapshot:
            facts["repro_hydra.snapshot"] = self.code.snapshot
        if self.manifest_digest is not None:
            facts["repro_hydra.manifest"] = f"blake3:{self.manifest_digest}"
        return facts


def milliseconds(time: str | None) -> int:
    """A recorded time as milliseconds since the epoch; 0 for none."""
    return (
        0 if time is None else round(datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp() * 1000)
    )


class _Step(msgspec.Struct):
    step: int = 0


def _step_of(line: bytes) -> int:
    try:
        return msgspec.json.decode(line, type=_Step).step
    except msgspec.DecodeError:
        return 0  # half a line that a killed job left


def _optional(path: Path, kind: type[T]) -> T | None:
    try:
        return read(path, kind)
    except RecordError:
        return None


def _flat(value: JSON, prefix: str) -> Iterator[tuple[str, JSON]]:
    if isinstance(value, dict) and (value or not prefix):
        for key, item in value.items():
            yield from _flat(item, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix or "config", value
