"""Makes records as runs leave them, with the package's own session."""

from __future__ import annotations

import json
import math
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import repro_hydra

SCRIPT = """\
import hydra, repro_hydra


@hydra.main(version_base=None, config_path=None)
def main(cfg):
    for i in range(3):
        repro_hydra.log_metrics({"loss": cfg.seed + 1 / (i + 1)})
    if cfg.get("fail"):
        raise RuntimeError("no")
    return {"accuracy": 0.5 + cfg.seed / 100}


main()
"""
LINES = [
    {"loss": 1.5, "accuracy": 0.25},
    {"loss": float("nan"), "accuracy": 0.5},
    {"loss": float("inf"), "lr=0/rate": 1e-300},
    {"loss": 0.1 + 0.2, "accuracy": 0.9375},
]
RESULT = {"test accuracy": 0.9639, "loss": 0.30000000000000004}


def make_run(
    folder: Path, name: str = "run", lines: list[dict[str, float]] | None = None, **options: Any
) -> Path:
    """A completed run in `folder`/`name`."""
    run_dir = folder / name
    config = {
        "seed": 3,
        "model": {"width": 8, "act": "relu"},
        "long": "x" * 7000,
        "api_key": "hunter2hunter2",
    }
    with repro_hydra.session(config, name=name, run_dir=run_dir, mode="record", options=options) as run:
        for line in LINES if lines is None else lines:
            run.log_metrics(line)
        run.log_result(RESULT)
    return run_dir


def never_sent(run_dir: Path) -> Path:
    """`run_dir` as it was before any tracker had something of it."""
    shutil.rmtree(run_dir / ".repro/tracking", ignore_errors=True)
    return run_dir


def recorded(run_dir: Path) -> dict[str, list[tuple[int, float]]]:
    """Each metric of the record as (step, value)."""
    found: dict[str, list[tuple[int, float]]] = {}
    for text in (run_dir / ".repro/metrics.jsonl").read_text().splitlines():
        line = json.loads(text)
        for key, value in line.items():
            if key not in ("step", "time"):
                found.setdefault(key, []).append((line["step"], float(value)))
    return found


def same_values(a: Mapping[str, list[tuple[int, float]]], b: Mapping[str, list[tuple[int, float]]]) -> bool:
    """Equal by bits; NaN is equal to NaN."""

    def bits(series: list[tuple[int, float]]) -> list[tuple[int, bytes]]:
        return sorted((step, b"nan" if math.isnan(v) else struct.pack("<d", v)) for step, v in series)

    return {k: bits(v) for k, v in a.items()} == {k: bits(v) for k, v in b.items()}
