"""What Slurm says of jobs: asked of its controller, and of its accounting for those that it has forgotten."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_ASK_LIMIT_S = 60
_WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "CONFIGURING"})
_GOING_ON = _WAITING | {
    "RUNNING",
    "COMPLETING",
    "RESIZING",
    "SIGNALING",
    "STAGE_OUT",
    "STOPPED",
    "SUSPENDED",
}
_ARRAY_RANGE = re.compile(r"^(\d+)_\[([^\]]+)\]$")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """A job's state in Slurm's words."""

    state: str
    exit_code: int | None = None
    """Of its batch script, where accounting knows it."""
    nodes: str = ""
    reason: str = ""
    """Why it waits, or why it failed."""

    @property
    def is_over(self) -> bool:
        return self.state not in _GOING_ON

    @property
    def waits(self) -> bool:
        return self.state in _WAITING

    def __str__(self) -> str:
        code = f", exit status {self.exit_code}" if self.exit_code else ""
        return f"{self.state}{code}" + (f" on {self.nodes}" if self.nodes else "")


class SlurmUnreachable(RuntimeError):
    """Neither Slurm's controller nor its accounting answers."""


def is_here() -> bool:
    """Whether this machine can ask Slurm."""
    return shutil.which("squeue") is not None


def job_states(ids: Iterable[str]) -> dict[str, JobState]:
    """The state of each job (``12`` or ``12_3``) that Slurm remembers.

    Raises
    ------
    SlurmUnreachable
        The controller does not answer: that a job is not listed means nothing then.
    """
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    mine = f"--user={os.geteuid()}"
    answer = _ask(["squeue", mine, "--array", "--noheader", "--states=all", "--format=%i|%T|%N|%r"])
    found = {}
    for line in answer.splitlines():
        identity, state, nodes, reason = (part.strip() for part in line.split("|", 3))
        found[identity] = JobState(state=state, nodes=nodes, reason=reason if reason != "None" else "")
    states = {job: found[job] for job in wanted if job in found}
    # Only accounting knows exit statuses, and the jobs that the controller has forgotten.
    unclear = [job for job in wanted if job not in states or states[job].is_over]
    if unclear:
        states |= {job: state for job, state in _accounted(unclear).items() if job in unclear}
    return states


def _accounted(jobs: Sequence[str]) -> dict[str, JobState]:
    arrays = sorted({job.partition("_")[0] for job in jobs})
    fields = "JobID,State,ExitCode,NodeList"
    try:
        answer = _ask(["sacct", "-X", "-n", "-P", "-o", fields, "-j", ",".join(arrays)])
    except SlurmUnreachable:
        return {}  # a cluster without accounting: what the controller said has to do
    states = {}
    for line in answer.splitlines():
        identity, state, code, nodes = line.split("|", 3)
        # "CANCELLED by 0"; a node list is "None assigned" before the start.
        exit_code = int(code.partition(":")[0]) if code[:1].isdigit() else None
        known = JobState(
            state=state.split(" ")[0].rstrip("+"),
            exit_code=exit_code,
            nodes="" if nodes.startswith("None") else nodes,
        )
        for one in expand(identity):
            states[one] = known
    return states


def expand(identity: str) -> list[str]:
    """``12_[0-2,5%4]`` as ``12_0 12_1 12_2 12_5``; any other id is itself."""
    match = _ARRAY_RANGE.match(identity)
    if match is None:
        return [identity]
    numbers: list[int] = []
    for part in match.group(2).partition("%")[0].split(","):
        low, _, high = part.partition("-")
        numbers += range(int(low), int(high or low) + 1)
    return [f"{match.group(1)}_{number}" for number in numbers]


def _ask(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_ASK_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SlurmUnreachable(f"{command[0]}: {error}") from None
    if done.returncode != 0:
        raise SlurmUnreachable(f"{command[0]}: {done.stderr.strip() or f'exit status {done.returncode}'}")
    return done.stdout
