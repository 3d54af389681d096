"""A sweep to report on: configurations, curves, failures, waivers, hostile names; records as a session writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from made_records import MadeSweep, make_run

from repro_hydra.record.paths import RunPaths
from repro_hydra.record.reproduction import Compared, Reproduction
from repro_hydra.record.schema import Finding
from repro_hydra.record.store import write_json

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>\"&$\\frac{1}{0}$\x1b[31m"
"""A metric and a configuration of this name must come out as text."""


def log_curve(run: Path, seed: int, height: float, *, name: str = "loss", steps: int = 40) -> None:
    """A curve that falls to `height`, as a job would log it."""
    generator = np.random.default_rng([seed, int(1000 * height)])
    noise = generator.normal(scale=0.02, size=steps)
    lines = [
        json.dumps({"step": step, "time": 0.1 * step, name: height + np.exp(-step / 8) + float(noise[step])})
        for step in range(steps)
    ]
    RunPaths(run).metrics.write_text("\n".join(lines) + "\n")


def make_sweep(
    directory: Path,
    *,
    variants: list[dict[str, Any]] | None = None,
    seeds: int = 5,
    curves: bool = True,
    hostile: bool = False,
) -> MadeSweep:
    """A sweep whose configurations differ a little more with each; one job failed, one is missing."""
    if variants is None:
        variants = [
            {"model": model, "optimizer.lr": lr} for model in ("conv", "attention") for lr in (0.01, 0.1)
        ]
    if hostile:
        variants = [*variants, {"model": HOSTILE, "optimizer.lr": 0.1}]
    sweep = MadeSweep(directory, range(seeds), variants=variants, primary_metric="test_accuracy")
    generator = np.random.default_rng(0)
    told = {
        "argv": ["train.py", "-m", "+repro=strict", f"seed=range({seeds})", "model=conv,attention"],
        "ended_at": "2026-11-23T10:02:00.000000Z",
    }
    finding = Finding(
        id="undeclared-input:data/extra.csv",
        severity="may_change_bits",
        message="data/extra.csv was read and is no declared dataset. Declare it, or waive it",
    )
    for number, job in enumerate(sweep.jobs):
        place, _ = divmod(number, seeds)
        if number == 2:
            sweep.run(number, error="no such layer", **told)
            continue
        if number == seeds + 1:
            continue  # planned, and gone
        height = 0.9 + 0.02 * place
        accuracy = height + 0.01 * float(generator.normal())
        more: dict[str, Any] = {"findings": [finding], "upheld": "no"} if number == 4 else {}
        if number == 3:
            more = {"waived": {"no-git-repository": "a scratch folder"}, "upheld": "waived"}
        result = {"test_accuracy": accuracy, "test_loss": 1.1 - accuracy}
        if hostile:
            result[HOSTILE] = 2 * accuracy
        run = sweep.run(
            number,
            result,
            code={"commit": "8a2d4b122edf1f0d76c6a579dfc382cd4055b1fc", "dirty": False, "branch": "main"},
            packages="blake3:" + 64 * "0",
            **told,
            **more,
        )
        if curves:
            log_curve(run, int(job.seed), 1.0 - height)
    return sweep


def reproduce(sweep: MadeSweep, number: int, directory: Path, verdict: str = "BITWISE") -> Path:
    """A run that reproduces job `number`, with its verdict in its record."""
    original = sweep.dir / str(number)
    run_id = json.loads(RunPaths(original).run.read_text())["run_id"]
    run = make_run(directory, result={"test_accuracy": 0.9})
    write_json(
        RunPaths(run).reproduction,
        msgspec.to_builtins(
            Reproduction(
                verdict=verdict,  # type: ignore[arg-type]
                headline=f"{verdict}: 2 metrics, 1 file, 1 tensor compared",
                run=str(original),
                run_id=run_id,
                reproduction=str(run),
                reproduction_run_id=json.loads(RunPaths(run).run.read_text())["run_id"],
                compared=Compared(metrics=2, files=1, tensors=1),
                upheld="yes",
            )
        ),
    )
    return run
