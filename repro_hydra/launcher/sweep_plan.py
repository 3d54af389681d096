"""What is decided when a sweep begins: the plan that all its jobs share, and its record before the first of them."""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from repro_hydra.config import Mode, ReproConf
from repro_hydra.program import NoProgram, Program, entry_of
from repro_hydra.record.code import CodeRecord
from repro_hydra.record.schema import Finding, SweepRecord
from repro_hydra.record.times import utc_now
from repro_hydra.session import capture, process
from repro_hydra.session.datasets import DataPlan
from repro_hydra.session.plan import LockPlan, Plan, SweepPlace


def plan_of_sweep(
    options: ReproConf,
    config: DictConfig,
    sweep_dir: Path,
    *,
    program: Program | NoProgram,
    code: CodeRecord | None,
    data: DataPlan,
    findings: Sequence[Finding],
    lock: LockPlan | None = None,
) -> Plan:
    """The plan of a sweep that this process launches.

    Parameters
    ----------
    sweep_dir : Path
        Absolute.
    findings : sequence of Finding
        What was found before the start; waivers are applied.
    """
    return Plan(
        options=options,
        launcher=_choice(config, "hydra/launcher", config.hydra.launcher),
        sweep=SweepPlace(
            sweep_id=uuid.uuid4().hex,
            sweep_dir=str(sweep_dir),
            host=process.host(),
            pid=os.getpid(),
            pid_started_at=process.started_at(),
        ),
        argv=list(sys.argv),
        cwd=str(Path.cwd()),
        entry=entry_of(program),
        code=code,
        code_taken_ns=time.time_ns(),
        data=data,
        lock=lock,
        findings=tuple(findings),
        must_be_fresh=options.mode is not Mode.record,
    )


def first_record(plan: Plan, config: DictConfig) -> SweepRecord:
    """``sweep.json`` before anything has happened."""
    options, place = plan.options, plan.sweep
    assert place is not None
    return SweepRecord(
        sweep_id=place.sweep_id,
        name=options.name,
        mode=options.mode.value,
        created_at=utc_now(),
        sweeper=_choice(config, "hydra/sweeper", config.hydra.sweeper),
        launcher=plan.launcher or "",
        argv=capture.redacted_argv(plan.argv),
        cwd=plan.cwd,
        overrides=capture.redacted_argv(list(config.hydra.overrides.task)),
        seed_key=options.seed.key,
        primary_metric=options.primary_metric,
        detached=not options.wait,
        entry=plan.entry,
        snapshot=plan.code.snapshot if plan.code is not None else None,
        host=place.host,
        pid=place.pid,
        pid_started_at=place.pid_started_at,
        findings=list(plan.findings),
    )


def _choice(config: DictConfig, group: str, node: Any) -> str:
    """The chosen option of `group`, as the user would write it; else the class's name."""
    chosen = config.hydra.runtime.choices.get(group)
    if chosen:
        return str(chosen)
    return str(OmegaConf.select(node, "_target_")).rpartition(".")[2]
