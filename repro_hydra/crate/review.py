"""What a doubting reviewer asks of exported runs, answered from the records and from all that the project ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from repro_hydra.record.index import RecordIndex
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.plain_file import read_plain
from repro_hydra.record.schema import JSON, SCHEMA, ConfigRecord, SweepRecord
from repro_hydra.record.store import RecordError, read, read_raw
from repro_hydra.reproduce.original import Original
from repro_hydra.sweep.configuration import configuration, identity

_HOUR_S = 3600.0


def review(originals: Sequence[Original], places: Iterable[Path]) -> dict[str, JSON]:
    """The answers.

    Parameters
    ----------
    originals : sequence of Original
        The exported runs, as they were recorded.
    places : iterable of Path
        Where the project's runs lie: the seeds that were added after looking are among them.
    """
    durations = [item.run.duration_s for item in originals if item.run.duration_s is not None]
    memory = [item.run.peak_memory_bytes for item in originals if item.run.peak_memory_bytes is not None]
    waived = {id_: reason for item in originals for id_, reason in item.run.waived.items()}
    return {
        "schema": SCHEMA,
        "runs": len(originals),
        "status": dict(Counter(item.run.status for item in originals)),
        "upheld": dict(Counter(item.run.upheld for item in originals)),
        "waived": waived,
        "findings": _findings(originals),
        "code": _code(originals),
        "hours": sum(durations) / _HOUR_S if durations else None,
        "peak_memory_bytes": max(memory, default=None),
        "configurations": _configurations(originals, places),
        "fingerprints": {item.run.run_id: _fingerprints(item.dir) for item in originals},
    }


def _findings(originals: Sequence[Original]) -> JSON:
    serious = Counter(
        finding.id for item in originals for finding in item.run.findings if finding.severity != "harmless"
    )
    return dict(serious)


def _code(originals: Sequence[Original]) -> JSON:
    seen: dict[str, JSON] = {}
    for item in originals:
        code = item.code
        if code is not None:
            seen[f"{code.tree}"] = {
                "tree": code.tree,
                "commit": code.commit,
                "on_remote": code.on_remote,
                "remote": code.remote,
                "dirty": code.dirty,
                "files_that_differ_from_the_commit": len(code.dirty_files) + len(code.untracked_files),
                "not_captured": dict(code.not_captured),
            }
    return list(seen.values())


# --- how often it was tried ------------------------------------------------------------------------------


def _configurations(originals: Sequence[Original], places: Iterable[Path]) -> JSON:
    groups: dict[bytes, list[Original]] = {}
    for item in originals:
        if item.config is not None:
            groups.setdefault(_identity(item.config), []).append(item)
    made = _made_in_all(set(groups), places)
    found = []
    for key, members in groups.items():
        overrides = members[0].config.overrides if members[0].config is not None else []
        found.append(
            {
                "overrides": overrides,
                "exported": len(members),
                "exported_seeds": _sorted(item.run.seed for item in members),
                "planned_seeds": _planned(members),
                "finished_seeds": _sorted(i.run.seed for i in members if i.run.status == "completed"),
                "made_in_all": made[key],
            }
        )
    return found


def _made_in_all(keys: set[bytes], places: Iterable[Path]) -> dict[bytes, JSON]:
    """Of each configuration, every run of the project, exported or not; a reproduction is told apart."""
    counted: dict[bytes, list[dict[str, Any]]] = {key: [] for key in keys}
    index = RecordIndex()
    for entry in index.runs(places):
        if entry.head is None:
            continue
        try:
            config = read(RunPaths(Path(entry.dir)).config, ConfigRecord)
            key = _identity(config)
            if key in counted:
                counted[key].append(read_raw(RunPaths(Path(entry.dir)).run))
        except RecordError:
            continue  # what cannot be read counts for no configuration
    return {key: _summary(runs) for key, runs in counted.items()}


def _summary(runs: Sequence[Mapping[str, Any]]) -> JSON:
    own = [run for run in runs if not run.get("parent_run_id")]
    moments = sorted(str(run.get("created_at")) for run in own)
    return {
        "runs": len(own),
        "status": dict(Counter(str(run.get("status")) for run in own)),
        "seeds": _sorted(run.get("seed") for run in own),
        "first": moments[0] if moments else None,
        "last": moments[-1] if moments else None,
        "reproductions": len(runs) - len(own),
    }


def _identity(config: ConfigRecord) -> bytes:
    seed = config.repro.get("seed") if isinstance(config.repro, dict) else None
    key = seed.get("key") if isinstance(seed, dict) else None
    leaves = configuration(config.resolved, config.unresolved, key if isinstance(key, str) else "seed")
    return identity(leaves)


def _planned(members: Sequence[Original]) -> JSON:
    """The seeds of each sweep's plan that belong to this configuration, whether they ran or not."""
    sweeps: dict[str, SweepRecord] = {
        item.sweep.sweep_id: item.sweep for item in members if item.sweep is not None
    }
    planned: list[JSON] = []
    for sweep in sweeps.values():
        own = {
            _without_seed(item.run.overrides, sweep.seed_key)
            for item in members
            if item.sweep is not None and item.sweep.sweep_id == sweep.sweep_id
        }
        planned += [job.seed for job in sweep.jobs if _without_seed(job.overrides, sweep.seed_key) in own]
    return _sorted(planned) if sweeps else _sorted(item.run.seed for item in members)


def _without_seed(overrides: Sequence[str], key: str) -> frozenset[str]:
    return frozenset(text for text in overrides if text.lstrip("+").partition("=")[0] != key)


def _sorted(values: Iterable[JSON]) -> list[JSON]:
    """Numbers by their value, then the rest by its text."""

    def key(value: JSON) -> tuple[bool, float, str]:
        is_number = isinstance(value, (int, float))
        return not is_number, float(value) if is_number else 0.0, str(value)

    return sorted(values, key=key)


# --- what the bits were ----------------------------------------------------------------------------------


def _fingerprints(run_dir: Path) -> JSON:
    """The first and the last line of a run's fingerprints; None where it took none."""
    for file in sorted(RunPaths(run_dir).record.glob("fingerprints*.jsonl")):
        try:
            lines = [line for line in read_plain(file).splitlines() if line.strip()]
            if lines:
                return {
                    "file": file.name,
                    "steps": len(lines),
                    "first": msgspec.json.decode(lines[0]),
                    "last": msgspec.json.decode(lines[-1]),
                }
        except (OSError, msgspec.DecodeError):
            continue
    return None
