"""The cluster as its administrator has it: what to ask of it, and how to break it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from doors_project import is_gone, wait_until

SCRIPT = Path(__file__).resolve().parent.parent.parent / "scripts" / "slurm_laptop.sh"
TIMES = {"hydra.launcher.timeout_min": "60", "hydra.launcher.max_num_timeout": "3"}
"""Ten minutes and less make submitit take every SIGUSR2 for a time-out."""


def home() -> Path:
    """Where the cluster that this process speaks to keeps its files."""
    return Path(os.environ["SLURM_CONF"]).parent.parent


def why_not() -> str | None:
    """Why no test can run on a cluster here; None where they can."""
    if shutil.which("sbatch") is None:
        return "Slurm is not installed here (scripts/slurm_laptop.sh packages)"
    try:
        ping = subprocess.run(["scontrol", "ping"], capture_output=True, text=True, timeout=30)
    except subprocess.TimeoutExpired:
        return "Slurm's controller does not answer"
    if ping.returncode != 0 or "UP" not in ping.stdout:
        return "no Slurm is up: sudo scripts/slurm_laptop.sh up; . /tmp/repro-hydra-slurm/env.sh"
    if "SLURM_CONF" not in os.environ or not (home() / "munge").is_dir():
        return "this Slurm is not that of scripts/slurm_laptop.sh: nodes are killed here"
    return None


@contextlib.contextmanager
def another_cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """One more beside the one that is up, for this process alone."""
    configuration = Path(os.environ["SLURM_CONF"]).read_text()
    port = int(re.search(r"^SlurmctldPort=(\d+)", configuration, re.MULTILINE)[1])  # type: ignore[index]
    place = Path(f"{home()}-another")
    variables = os.environ | {"SLURM_LAPTOP_HOME": str(place), "SLURM_LAPTOP_PORT": str(port + 400)}
    try:
        subprocess.run([str(SCRIPT), "up"], env=variables, check=True, capture_output=True, timeout=180)
        with monkeypatch.context() as patch:
            patch.setenv("SLURM_CONF", str(place / "etc" / "slurm.conf"))
            yield Cluster()
    finally:
        subprocess.run([str(SCRIPT), "down", "--purge"], env=variables, capture_output=True, timeout=120)


class Cluster:
    """Two nodes on this machine, on which another cluster may be up with nodes of the same names."""

    def nodes(self) -> list[str]:
        return self.ask("sinfo", "--noheader", "-N", "-p", "main", "-o", "%N").splitlines()

    def ask(self, *command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()

    def signal(self, job: str, name: str) -> None:
        self.ask("scancel", f"--signal={name}", job)

    def cancel(self, job: str) -> None:
        self.ask("scancel", job)

    def cancel_all(self) -> None:
        self.ask("scancel", f"--user={os.geteuid()}")
        wait_until(lambda: not self.ask("squeue", "--noheader"), 60)

    # ------------------------------------------------------------------ nodes

    def daemon(self, node: str) -> psutil.Process:
        return psutil.Process(int((home() / "run" / f"slurmd.{node}.pid").read_text()))

    def kill_node(self, node: str, *, with_tasks: bool) -> None:
        """A node that dies whole, or whose daemons alone die and leave the tasks running as orphans."""
        self.daemon(node).kill()
        for process in psutil.process_iter(["name"]):
            with contextlib.suppress(
                psutil.NoSuchProcess
            ):  # one that ends meanwhile has died before its node
                if process.info["name"] == "slurmstepd" and self._node_of(process) == node:
                    self._kill_step(process, with_tasks=with_tasks)

    def _kill_step(self, step: psutil.Process, *, with_tasks: bool) -> None:
        tasks = step.children(recursive=True) if with_tasks else []
        step.kill()
        for task in tasks:
            with contextlib.suppress(psutil.NoSuchProcess):
                task.kill()

    def _node_of(self, step: psutil.Process) -> str | None:
        for process in step.children(recursive=True):
            try:
                environment = process.environ()
            except psutil.Error:
                continue
            ours = environment.get("SLURM_CONF") == os.environ["SLURM_CONF"]
            return environment.get("SLURMD_NODENAME") if ours else None
        return None

    def repair(self) -> None:
        """Every node up and idle, whatever a test did to it."""
        for node in self.nodes():
            if not self._runs(node):
                place = os.environ | {"SLURM_LAPTOP_HOME": str(home())}
                subprocess.run(
                    [str(SCRIPT), "node", node], env=place, check=True, capture_output=True, timeout=60
                )
        wait_until(self._all_ready, 60)

    def _runs(self, node: str) -> bool:
        try:
            return not is_gone(self.daemon(node).pid)
        except (OSError, psutil.NoSuchProcess):
            return False

    def _all_ready(self) -> bool:
        states = self.ask("sinfo", "--noheader", "-N", "-p", "main", "-o", "%T").splitlines()
        return all(state in ("idle", "mixed", "allocated") for state in states)
