"""Killed without a word (a hard limit, no memory): on from the last checkpoint, or from the top, never a mixture."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from doors_project import Project, load, result, wait_until
from slurm_cluster import Cluster

pytestmark = pytest.mark.slurm

HELD_AT = 5
SCRIPT = """\
import time
from contextlib import nullcontext
from pathlib import Path

import hydra
import numpy as np
from hydra.core.hydra_config import HydraConfig

import repro_hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    out = Path(HydraConfig.get().runtime.output_dir)
    total = np.zeros(4)
    with repro_hydra.resumable(every_steps=2) if cfg.checkpoints else nullcontext() as state:
        for step in state.steps(cfg.steps) if cfg.checkpoints else range(cfg.steps):
            while cfg.gate and step == cfg.held_at and not Path(cfg.gate).exists():
                (out / "held").touch()
                time.sleep(0.02)
            total += np.random.rand(4)
            if not cfg.checkpoints:
                with (out / "lines.txt").open("a") as stream:
                    stream.write(f"{step} {total[0]!r}\\n")
            repro_hydra.log_metrics({"total": float(total.sum())}, step=step)
    return {"total": float(total.sum()), "next": float(np.random.rand())}


if __name__ == "__main__":
    main()
"""
CONFIG = f"seed: 1\nsteps: 8\nheld_at: {HELD_AT}\ngate: ''\ncheckpoints: true\n"
BOTH = "checkpoints=true,false"


def test_killed_at_a_hard_limit(project: Project, cluster: Cluster) -> None:
    """`resume` goes on with both; neither mixes what its first attempt left with what the second one makes."""
    project.holding(SCRIPT, CONFIG)
    project.run("-m", "+repro=strict", "hydra.sweep.dir=multirun/alone", BOTH).ok()
    gate = project.top / "outputs" / "gate"
    gate.parent.mkdir()
    sweep, alone = project.top / "multirun" / "struck", project.top / "multirun" / "alone"
    slurm = ["hydra/launcher=submitit_slurm", "hydra.callbacks.repro.wait=false", f"hydra.sweep.dir={sweep}"]
    project.run("-m", "+repro=strict", *slurm, BOTH, f"gate={gate}").ok()
    wait_until(lambda: len(list(sweep.glob("*/held"))) == 2, 120)
    for number in range(2):  # `scancel --signal=KILL` would send TERM before
        os.kill(load(sweep / str(number), "run")["pid"], signal.SIGKILL)
    wait_until(lambda: not cluster.ask("squeue", "--noheader"), 120)
    (sweep / "0" / "held").unlink()  # the only thing in which this job's directory is not what it was
    gate.touch()
    done = subprocess.run(
        [sys.executable, "-m", "repro_hydra", "resume", "--json", str(sweep)],
        cwd=project.top,
        env=project.environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["again"] == [0, 1]
    wait_until(lambda: not cluster.ask("squeue", "--noheader"), 120)  # it is left this time too
    for number in range(2):
        assert result(sweep / str(number)) == result(alone / str(number))
        assert _metrics(sweep / str(number)) == _metrics(alone / str(number))
        run = load(sweep / str(number), "run")
        assert (run["status"], run["upheld"]) == ("completed", "yes"), run["findings"]
        (restart,) = run["restarts"]
        assert restart["reason"] == "lost"
        assert restart["step"] == (4 if number == 0 else 0)
    with_none, earlier = sweep / "1", sweep / "1" / ".repro" / "attempts" / "1" / "outputs"
    assert (with_none / "lines.txt").read_text() == (alone / "1" / "lines.txt").read_text()
    assert not (with_none / "held").exists()
    assert len((earlier / "lines.txt").read_text().splitlines()) == HELD_AT
    assert (earlier / "held").exists()


def _metrics(run: Path) -> list[dict[str, Any]]:
    lines = (run / ".repro" / "metrics.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if name != "time"} for line in lines]
