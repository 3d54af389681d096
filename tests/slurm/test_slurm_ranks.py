"""Two ranks of one Slurm job stop at one step, are queued again together, and go on with the same bits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from doors_project import Project, load, wait_until
from slurm_cluster import Cluster

pytestmark = pytest.mark.slurm

HELD_AT = 6
SCRIPT = """\
import os
import time
from pathlib import Path

import hydra
import numpy as np
from hydra.core.hydra_config import HydraConfig

import repro_hydra
from repro_hydra.checkpoint import preemption

RANK = int(os.environ.get("SLURM_PROCID", "0"))


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    out = Path(HydraConfig.get().runtime.output_dir)
    stream = repro_hydra.rng("noise")
    total = np.zeros(4)
    with repro_hydra.resumable(every_steps=4) as state:
        for step in state.steps(12):
            # Rank 0 is held until somebody wants the machine; rank 1 waits for it, as in a collective.
            while cfg.held and RANK == 0 and step == 6 and preemption.requested() is None and not state.resumed:
                (out / "held").touch()
                time.sleep(0.02)
            time.sleep(0.15)
            total += np.random.rand(4) + stream.random()
            repro_hydra.log_metrics({"total": float(total.sum())}, step=step)
    np.save(out / f"total{RANK}.npy", total)
    return {"total": float(total.sum()), "next": float(np.random.rand())}


if __name__ == "__main__":
    main()
"""
SLURM = ("hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=20", "hydra.launcher.tasks_per_node=2")


def left(run: Path) -> tuple[Any, list[Any], list[bytes]]:
    lines = [json.loads(line) for line in (run / ".repro" / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        del line["time"]
    return load(run, "result"), lines, [(run / f"total{rank}.npy").read_bytes() for rank in range(2)]


def test_two_ranks_are_preempted_and_go_on(project: Project, cluster: Cluster) -> None:
    """USR2 to the job: a whole set, one requeue, and what each rank computed is that of the job left alone."""
    project.holding(SCRIPT, "seed: 1\nheld: false\n")
    sweep = project.start("-m", "+repro=strict", *SLURM, "held=false,true", "hydra.sweep.dir=swept")
    held = project.top / "swept" / "1"
    wait_until((held / "held").exists, 120)
    record = load(project.top / "swept", "sweep")
    (job,) = (job["job_id"] for job in record["jobs"] if job["num"] == 1)
    cluster.signal(job, "USR2")
    text, _ = sweep.communicate(timeout=300)
    assert sweep.returncode == 0, text
    assert left(held) == left(project.top / "swept" / "0")
    run = load(held, "run")
    (restart,) = run["restarts"]
    assert (restart["reason"], restart["status"]) == ("SIGUSR2", "preempted")
    assert HELD_AT < restart["step"] < 12
    assert (run["status"], run["upheld"], run["world_size"]) == ("completed", "yes", 2)
    assert [process["role"] for process in run["processes"]] == ["main", "rank 1"]
