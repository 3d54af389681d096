"""The cluster as its administrator has it: what to ask of it, and how to break it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

import psutil
from doors_project import is_gone, wait_until

SCRIPT = Path(__file__).resolve().parent.parent.parent / "scripts" / "slurm_laptop.sh"
TIMES = {"hydra.launcher.timeout_min": "60", "hydra.launcher.max_num_timeout": "3"}
"""Ten minutes and less make submitit take every SIGUSR2 for a time-out."""


def home() -> Path:
    """Where the cluster that this process speaks to keeps its files."""
    return Path(os.environ["SLURM_CONF"]).parent.parent


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
