"""Records as a session writes them, without running anything."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import msgspec

from repro_hydra.record.paths import RunPaths, SweepPaths
from repro_hydra.record.schema import ConfigRecord, ErrorInfo, RunRecord, SweepJob, SweepLink, SweepRecord
from repro_hydra.record.store import write_json

MOMENT = "2026-11-23T10:00:00.000000Z"


def make_run(
    directory: Path,
    *,
    seed: Any = 0,
    result: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    unresolved: dict[str, Any] | None = None,
    seed_key: str = "seed",
    error: str | None = None,
    code: dict[str, Any] | None = None,
    packages: str | None = None,
    rank_offset: bool = False,
    **fields: Any,
) -> Path:
    """One run's record in `directory`; `fields` are those of ``run.json``."""
    paths = RunPaths(directory)
    paths.record.mkdir(parents=True)
    values: dict[str, Any] = {
        "run_id": uuid.uuid4().hex,
        "mode": "strict",
        "status": "failed" if error else "completed",
        "upheld": "yes",
        "seed": seed,
        "seed_set": True,
        "created_at": MOMENT,
        "started_at": MOMENT,
        "duration_s": 1.5,
        "overrides": [f"{seed_key}={seed}"],
        "host": "elsewhere",
        "error": ErrorInfo(type="ValueError", message=error) if error else None,
        **fields,
    }
    write_json(paths.run, RunRecord(**values))
    whole = {seed_key: seed, **(config or {})}
    write_json(
        paths.config,
        ConfigRecord(
            resolved=whole,
            unresolved=unresolved if unresolved is not None else whole,
            overrides=values["overrides"],
            repro={"seed": {"key": seed_key, "rank_offset": rank_offset}},
        ),
    )
    if values["status"] == "completed" and result is not None:
        write_json(paths.result, result)
    if code is not None:
        write_json(paths.code, {"schema": "1.0", **code})
    if packages is not None:
        write_json(paths.environment, {"schema": "1.0", "distributions_digest": packages})
    return directory


class MadeSweep:
    """A sweep's plan, and jobs of it as they are run."""

    def __init__(self, directory: Path, seeds: Any, *, variants: Any = ({},), **fields: Any) -> None:
        self.dir = directory
        self.sweep_id = uuid.uuid4().hex
        self.variants = [dict(variant) for variant in variants]
        jobs = [(variant, seed) for variant in self.variants for seed in seeds]
        self.jobs = [
            SweepJob(num=num, overrides=self.overrides(variant, seed), dir=str(num), seed=seed)
            for num, (variant, seed) in enumerate(jobs)
        ]
        self._of_job = jobs
        self._fields = fields
        directory.mkdir(parents=True, exist_ok=True)
        SweepPaths(directory).record.mkdir()
        self.save()

    @staticmethod
    def overrides(variant: dict[str, Any], seed: Any) -> list[str]:
        return ["+repro=strict", *(f"{key}={value}" for key, value in variant.items()), f"seed={seed}"]

    def save(self) -> None:
        record = SweepRecord(
            sweep_id=self.sweep_id,
            mode="strict",
            created_at=MOMENT,
            sweeper="basic",
            launcher="repro",
            jobs=self.jobs,
            **self._fields,
        )
        write_json(SweepPaths(self.dir).sweep, record)

    def mark(self, num: int, status: str) -> None:
        self.jobs[num] = msgspec.structs.replace(self.jobs[num], status=status)
        self.save()

    def run(self, num: int, result: dict[str, Any] | None = None, **fields: Any) -> Path:
        """Job `num` as it was run; its config has the variant's keys."""
        variant, seed = self._of_job[num]
        directory = self.dir / fields.pop("into", str(num))
        self.mark(num, "failed" if fields.get("error") else "completed")
        return make_run(
            directory,
            seed=fields.pop("seed", seed),
            result=result,
            config={**fields.pop("config", {}), **variant},
            overrides=self.overrides(variant, seed),
            sweep=SweepLink(id=self.sweep_id, dir=str(self.dir), job_num=num),
            **fields,
        )

    def run_all(self, values: Any, metric: str = "accuracy") -> None:
        for num, value in enumerate(values):
            self.run(num, {metric: value})
