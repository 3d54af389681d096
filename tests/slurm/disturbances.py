"""Jobs that are disturbed at random steps, in all the ways that a cluster has, and what they must leave."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from doors_project import Project, load, wait_until
from slurm_cluster import Cluster

STEPS = 14
SCRIPT = """\
import time
from pathlib import Path

import hydra
import numpy as np
from hydra.core.hydra_config import HydraConfig

import repro_hydra
from repro_hydra.checkpoint import preemption


def hold(cfg, step):
    # A step that takes as long as the test wants it to: until its gate is open, or somebody wants the machine.
    gate = Path(cfg.gates, str(cfg.seed))
    while cfg.gates and step == cfg.holds[cfg.seed] and not gate.exists() and preemption.requested() is None:
        time.sleep(0.02)


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    rng = np.random.default_rng(cfg.seed)
    weights = [0.0] * 16
    losses = []
    with repro_hydra.resumable(rng, weights=weights, every_steps=3) as state:
        for step in state.steps(cfg.steps):
            hold(cfg, step)
            noise = rng.standard_normal(16) + np.random.rand()
            weights[:] = [float(0.9 * w + x) for w, x in zip(weights, noise)]
            losses.append(sum(w * w for w in weights))
            repro_hydra.log_metrics({"loss": losses[-1]}, step=step)
    out = Path(HydraConfig.get().runtime.output_dir)
    np.save(out / "weights.npy", np.array(weights))
    return {"loss": losses[-1], "sum": float(np.sum(losses)), "steps": len(losses)}


if __name__ == "__main__":
    main()
"""
CONFIG = f"seed: 0\nsteps: {STEPS}\ngates: ''\nholds: []\n"
KINDS = ("usr2", "time limit", "preempted", "scancel", "node dies", "node's daemons die")


STRIKES_A_JOB = ("usr2", "time limit", "scancel")


@dataclass(frozen=True)
class EndState:
    """What must be equal, bit for bit."""

    result: Any
    metrics: list[Any]
    weights: bytes


@dataclass
class Disturbed:
    """What one round did and found."""

    planned: dict[int, tuple[str, int]]
    """Job to kind and step."""
    done: dict[int, int] = field(default_factory=dict)
    """Job to the step at which it was struck."""
    restarts: dict[int, list[Any]] = field(default_factory=dict)
    failed: list[int] = field(default_factory=list)
    """Those that were told as failed, and that `resume` went on with."""


def end_state(run: Path) -> EndState:
    lines = [json.loads(line) for line in (run / ".repro" / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        del line["time"]
    return EndState(load(run, "result"), lines, (run / "weights.npy").read_bytes())


def undisturbed(project: Project, seeds: range) -> dict[int, EndState]:
    """The same jobs at home, where nobody disturbs them."""
    home = ["hydra.sweep.dir=undisturbed", f"seed=range({seeds.start},{seeds.stop})"]
    command = project.command("-m", "+repro=strict", "hydra/launcher=repro", "hydra.launcher.n_jobs=2", *home)
    subprocess.run(command, cwd=project.top, env=project.environment, check=True, timeout=300)
    return {seed: end_state(project.top / "undisturbed" / str(n)) for n, seed in enumerate(seeds)}


class Round:
    """One sweep whose jobs are disturbed, each once at least."""

    def __init__(
        self, project: Project, cluster: Cluster, kinds: list[str], random: Random, name: str
    ) -> None:
        self.project, self.cluster, self.name = project, cluster, name
        self.plan = {number: (kind, random.randrange(1, STEPS - 2)) for number, kind in enumerate(kinds)}
        self.found = Disturbed(self.plan)
        self.sweep = project.top / name
        self.gates = project.top / "outputs" / f"gates-{name}"
        self.gates.mkdir(parents=True)

    def run(self, seeds: range) -> Disturbed:
        """Submit, disturb, wait; then go on with what was cancelled."""
        command = self.project.command(
            "-m",
            "+repro=strict",
            "hydra/launcher=submitit_slurm",
            "hydra.launcher.partition=low",
            "hydra.launcher.max_num_timeout=9",
            f"hydra.sweep.dir={self.name}",
            f"seed=range({seeds.start},{seeds.stop})",
            f"gates={self.gates}",
            f"holds={[step for _, step in self.plan.values()]}".replace(" ", ""),
        )
        submitter = subprocess.Popen(
            command,
            cwd=self.project.top,
            env=self.project.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            with self._disturbing():
                out, _ = submitter.communicate(timeout=900)
        finally:
            submitter.kill()
            submitter.wait(timeout=60)
        cancelled = [number for number, (kind, _) in self.plan.items() if kind == "scancel"]
        ends = {number: load(self.sweep / str(number), "run") for number in self.plan}
        # Struck while its batch script began, before that could arrange for anything, a job fails like a cancelled one.
        self.found.failed = [number for number, run in ends.items() if run["status"] != "completed"]
        assert submitter.returncode == (1 if self.found.failed else 0), out
        assert set(cancelled) <= set(self.found.failed), out
        for number in self.found.failed:
            assert ends[number]["status"] in ("preempted", "failed"), ends[number]
            assert ends[number]["error"], ends[number]  # truly told
        if self.found.failed:
            done = subprocess.run(
                [sys.executable, "-m", "repro_hydra", "resume", "--json", str(self.sweep)],
                cwd=self.project.top,
                env=self.project.environment,
                capture_output=True,
                text=True,
                timeout=600,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            assert json.loads(done.stdout)["again"] == self.found.failed
        for number in self.plan:
            self.found.restarts[number] = load(self.sweep / str(number), "run")["restarts"]
        return self.found

    @contextlib.contextmanager
    def _disturbing(self) -> Iterator[None]:
        errors: list[BaseException] = []

        def guarded(numbers: list[int]) -> None:
            try:
                for number in numbers:
                    self._disturb(number)
            except BaseException as error:  # noqa: BLE001 (told in the test's own thread)
                errors.append(error)
                for number in self.plan:  # nobody comes to strike any more: the jobs need not wait for it
                    (self.gates / str(number)).touch()

        def disturb() -> None:
            # First what happens to a job alone, to all at once; then what happens to a node, one after another.
            alone = [number for number, (kind, _) in self.plan.items() if kind in STRIKES_A_JOB]
            threads = [threading.Thread(target=guarded, args=([number],)) for number in alone]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            guarded([number for number in self.plan if number not in alone])

        thread = threading.Thread(target=disturb)
        thread.start()
        try:
            yield
        finally:
            thread.join(timeout=300)
            assert not errors, errors

    def _disturb(self, number: int) -> None:
        kind, step = self.plan[number]
        wait_until(lambda: self._steps(number) >= step, 300)
        job = next(job["job_id"] for job in load(self.sweep, "sweep")["jobs"] if job["num"] == number)
        self.found.done[number] = step
        if kind in ("usr2", "scancel"):
            self.cluster.signal(job, "USR2") if kind == "usr2" else self.cluster.cancel(job)
            wait_until(lambda: self._state(job) not in ("RUNNING", "COMPLETING"), 300)
        elif kind == "time limit":
            self._time_limit(job)
        else:
            self._strike_node(kind, job, number)
        (self.gates / str(number)).touch()

    def _strike_node(self, kind: str, job: str, number: int) -> None:
        node = self.cluster.ask("squeue", "--noheader", f"--jobs={job}", "--format=%N")
        if not node or load(self.sweep / str(number), "run")["restarts"]:
            return  # another strike has hit that node, and this job with it
        if kind == "preempted":
            self._preempt(node)
        else:
            before = len(load(self.sweep / str(number), "run")["restarts"])
            self.cluster.kill_node(node, with_tasks=kind == "node dies")
            # Orphans stay at their gates until the next attempt is there, which must see them off.
            wait_until(lambda: len(load(self.sweep / str(number), "run")["restarts"]) > before, 300)
            self.cluster.repair()

    def _steps(self, number: int) -> int:
        try:
            return len((self.sweep / str(number) / ".repro" / "metrics.jsonl").read_text().splitlines())
        except FileNotFoundError:
            return 0

    # ------------------------------------------------------------------ the ways

    def _state(self, job: str) -> str:
        return self.cluster.ask("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T")

    def _time_limit(self, job: str) -> None:
        """Its time is nearly over, which Slurm tells it; the next attempt has time again."""
        self.cluster.ask("scontrol", "update", f"JobId={job}", "TimeLimit=1")
        wait_until(lambda: self._state(job) not in ("RUNNING", "COMPLETING"), 300)
        if self._state(job) == "PENDING":
            self.cluster.ask("scontrol", "update", f"JobId={job}", "TimeLimit=60")

    def _preempt(self, node: str) -> None:
        """Somebody else's job of a better partition takes the whole node."""
        out = ["--output=/dev/null", "--partition=main", "--exclusive", f"--nodelist={node}"]
        other = self.cluster.ask("sbatch", "--parsable", *out, "--wrap=sleep 1")
        wait_until(lambda: self._state(other) == "COMPLETED", 300)
