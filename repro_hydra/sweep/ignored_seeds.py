"""Two seeds of a sweep whose weights are equal to the bit: the seed is ignored, and the repeats are one run.

Equal metrics alone prove nothing (an accuracy of 0.97 is one of few values), so only files of weights count. Their
digests stand in the manifests, which are read only where two seeds gave the same result: different results can't come
from the same weights, unless the evaluation draws.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from repro_hydra.record.manifest import WEIGHTS, read_manifest
from repro_hydra.record.paths import RECORD_DIR, RunPaths
from repro_hydra.record.plain_file import read_plain
from repro_hydra.record.schema import JSON, Finding, SweepJob
from repro_hydra.record.store import RecordError


class Repeat(NamedTuple):
    """One run that should be an independent repeat of others."""

    dir: Path | str
    seed: JSON
    result: JSON = None


class Equal(NamedTuple):
    """Runs of different seeds, and a file of weights in which they are equal."""

    seeds: tuple[JSON, ...]
    file: str


def equal_weights(repeats: Iterable[Repeat]) -> list[Equal]:
    """The groups of `repeats` that have different seeds and the same weights."""
    by_result: dict[bytes, list[Repeat]] = defaultdict(list)
    for repeat in repeats:
        by_result[msgspec.json.encode(repeat.result, order="sorted")].append(repeat)
    found = []
    for alike in by_result.values():
        if len({str(repeat.seed) for repeat in alike}) < 2:
            continue
        by_weights: dict[tuple[tuple[str, str], ...], list[Repeat]] = defaultdict(list)
        for repeat in alike:
            weights = weights_of(repeat.dir)
            if weights:
                by_weights[tuple(sorted(weights.items()))].append(repeat)
        for weights_alike, same in by_weights.items():
            seeds = tuple(dict.fromkeys(repeat.seed for repeat in same))
            if len(seeds) > 1:
                found.append(Equal(seeds, weights_alike[0][0]))
    return found


def weights_of(run_dir: Path | str) -> dict[str, str]:
    """The files of weights that a run wrote, with their digests; none where its manifest cannot be read."""
    try:
        manifest = read_manifest(RunPaths(Path(run_dir)))
    except RecordError:
        return {}
    return {
        entry.path: entry.blake3
        for entry in manifest.files
        if entry.path.endswith(WEIGHTS) and not entry.path.startswith(f"{RECORD_DIR}/")
    }


def findings_of_sweep(sweep_dir: Path, jobs: Sequence[SweepJob], seed_key: str) -> list[Finding]:
    """What stands in ``sweep.json`` of jobs that differ in their seed alone and came out with equal weights."""
    groups: dict[tuple[str, ...], list[Repeat]] = defaultdict(list)
    for job in jobs:
        if job.status == "completed" and job.dir is not None:
            rest = tuple(text for text in job.overrides if text.lstrip("+").partition("=")[0] != seed_key)
            run_dir = sweep_dir / job.dir
            groups[rest].append(Repeat(run_dir, job.seed, _result_of(run_dir)))
    return [
        Finding(id=f"seed-ignored:{equal.file}", severity="may_change_bits", message=told(equal))
        for repeats in groups.values()
        for equal in equal_weights(repeats)
    ]


def told(equal: Equal) -> str:
    """The finding in a sentence."""
    seeds = " and ".join(str(seed) for seed in equal.seeds[:4])
    more = f" (and {len(equal.seeds) - 4} more)" if len(equal.seeds) > 4 else ""
    return (
        f"seeds {seeds}{more} ended with the same weights, {equal.file}: the seed is ignored, so they are one run and "
        "no repeats. Look for whoever seeds again with a constant"
    )


def _result_of(run_dir: Path) -> JSON:
    try:
        return msgspec.json.decode(read_plain(RunPaths(run_dir).result))
    except (OSError, msgspec.DecodeError):
        return None
