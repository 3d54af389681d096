"""The batch script's last word, in a real shell with a scheduler's command that answers and notes what it is told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from repro_hydra.launcher.batch_script import setup_lines
from repro_hydra.launcher.hosts import CPU, PYTHON, HostFacts, host_findings
from repro_hydra.launcher.slurm import expand

PREEMPTED = (
    "JobId=146 JobState=RUNNING PreemptEligibleTime=2026-11-25T16:00:00 PreemptTime=2026-11-25T16:01:00"
)
RUNNING = "JobId=146 JobState=RUNNING PreemptEligibleTime=2026-11-25T16:00:00 PreemptTime=None"
CANCELLED = "JobId=146 JobState=CANCELLED PreemptTime=2026-11-25T16:01:00"
ARRAY = {"SLURM_JOB_ID": "146", "SLURM_ARRAY_JOB_ID": "146", "SLURM_ARRAY_TASK_ID": "5"}


@pytest.mark.parametrize(
    ("state", "status", "job", "requeued"),
    [
        (PREEMPTED, 143, ARRAY, "146_5"),  # never 146, which is the whole array
        (PREEMPTED, 143, {"SLURM_JOB_ID": "9"}, "9"),
        (PREEMPTED, 0, ARRAY, None),
        (RUNNING, 143, ARRAY, None),
        (RUNNING, 140, ARRAY, "146_5"),  # USR2, before anybody listened
        (CANCELLED, 143, ARRAY, None),
        (CANCELLED, 140, ARRAY, None),
    ],
)
def test_what_is_queued_again(
    tmp_path: Path, state: str, status: int, job: dict[str, str], requeued: str | None
) -> None:
    """Only this very task, only while it counts as running, and only where Slurm would take it for finished."""
    sweep = tmp_path / "sweep"
    (sweep / ".repro").mkdir(parents=True)
    (sweep / ".repro" / "sweep.json").touch()
    told = tmp_path / "told"
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f'#!/bin/sh\n[ "$1" = requeue ] && echo "$2" >>{told} || echo "{state}"\n')
    scontrol.chmod(0o755)
    lines = setup_lines({}, sweep, sys.executable, str(tmp_path))
    environ = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"} | job
    done = subprocess.run(["bash", "-c", "\n".join([*lines, f"exit {status}"])], env=environ)
    assert done.returncode == status
    assert (told.read_text().split() if told.exists() else []) == ([requeued] if requeued else [])


def test_a_trap_of_the_users_own_stays(tmp_path: Path) -> None:
    """What the user's setup does at the end of the script is done."""
    (tmp_path / ".repro").mkdir()
    (tmp_path / ".repro" / "sweep.json").touch()
    lines = setup_lines({}, tmp_path, sys.executable, str(tmp_path))
    script = "\n".join(["trap 'echo mine' EXIT", *lines, "exit 0"])
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "mine\n")


def host(name: str, flags: str = "a", python: str = "CPython 3.11", **chosen: str) -> HostFacts:
    return HostFacts(name=name, python=python, cpu_model="a processor", cpu_flags=flags, chosen=chosen)


def test_the_first_node_sets_the_kind(tmp_path: Path) -> None:
    """The machine that submits may be of another kind; the nodes may not, unless the instruction set is pinned."""
    (tmp_path / ".repro" / "queue").mkdir(parents=True)
    login = host("login", flags="b")

    def found(here: HostFacts, required: dict[str, str] | None = None) -> list[tuple[str, str]]:
        return [(f.id, f.severity) for f in host_findings(login, here, tmp_path, required or {})]

    assert found(host("n1")) == [(CPU, "harmless")]
    assert found(host("n2")) == [(CPU, "harmless")]
    assert found(host("n3", flags="c")) == [(CPU, "blocks")]
    assert found(host("n3", ATEN_CPU_CAPABILITY="default")) == [(CPU, "blocks")]
    assert found(host("n3", flags="c"), {"ATEN_CPU_CAPABILITY": "avx2"}) == [(CPU, "harmless")]
    assert found(host("n2", python="CPython 3.12")) == [(PYTHON, "blocks"), (CPU, "harmless")]


@pytest.mark.parametrize(
    ("written", "ids"),
    [
        ("12", ["12"]),
        ("12_3", ["12_3"]),
        ("12_[0-2,5%4]", ["12_0", "12_1", "12_2", "12_5"]),
        ("12_[7]", ["12_7"]),
    ],
)
def test_arrays_written_short(written: str, ids: list[str]) -> None:
    """Slurm's short form for tasks that wait."""
    assert expand(written) == ids
