"""Slurm's signal goes to every process of a job: the loader's workers outlast it, and end with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from repro_hydra import resumable

OTHERS: set[int] = set()
LOOP = "import signal, sys, test_workers; test_workers.struck(test_workers.Path(sys.argv[1]), signal.SIGTERM)"
UNPROTECTED = """
from contextlib import nullcontext
from repro_hydra.checkpoint import loading
loading.undisturbed = nullcontext
"""


class Numbers(Dataset[int]):
    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> int:
        return index


def note_worker(worker: int) -> None:
    """A `worker_init_fn` of the user's."""
    torch.set_num_threads(1)
    assert worker in (0, 1)


@pytest.fixture(autouse=True)
def others() -> None:
    """Children that earlier tests have left to this process, as the tracker of shared memory, are not ours."""
    OTHERS.clear()
    OTHERS.update(child.pid for child in psutil.Process().children())


def workers_now() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child.pid not in OTHERS]


def struck(place: Path, number: int) -> list[int]:
    """A loop whose workers are sent the signal by another process than their parent, after three batches."""
    loader: DataLoader[Any] = DataLoader(
        Numbers(), 2, num_workers=2, prefetch_factor=1, worker_init_fn=note_worker
    )
    seen: list[int] = []
    with resumable(nn.Linear(1, 1), directory=place) as state:
        for batch in state.batches(loader):
            seen += batch.tolist()
            if state.step == 3:
                workers = [str(worker.pid) for worker in workers_now()]
                assert len(workers) == 2
                subprocess.run(["kill", f"-{number}", *workers], check=True)
    assert loader.worker_init_fn is note_worker
    return seen


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
def test_workers_outlast_a_signal_to_the_whole_job(number: int, tmp_path: Path) -> None:
    """All batches come, and no worker is left when the loop has ended."""
    assert struck(tmp_path, number) == list(range(40))
    assert workers_now() == []


@pytest.mark.parametrize(("line", "ends"), [(UNPROTECTED, False), ("", True)])
def test_without_it_the_loop_would_have_failed(line: str, ends: bool, tmp_path: Path) -> None:
    """The guard barks: unprotected workers die, and torch fails the loop.

    In a process of its own, for torch may raise also where nobody catches it: in what clears away the other worker.
    """
    done = subprocess.run(
        [sys.executable, "-c", f"{line}\n{LOOP}", str(tmp_path)],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode == 0) is ends, done.stderr
    assert ("Error" in done.stderr) is not ends, done.stderr


def test_a_worker_ends_when_its_parent_says_so(tmp_path: Path) -> None:
    """Python ends its children by TERM when it exits: a worker that ignored that would be waited for for ever."""
    loader: DataLoader[Any] = DataLoader(Numbers(), 2, num_workers=1)
    with resumable(nn.Linear(1, 1), directory=tmp_path) as state:
        for _ in state.batches(loader):
            (worker,) = workers_now()
            os.kill(worker.pid, signal.SIGTERM)
            psutil.wait_procs([worker], timeout=30)
            assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
            break
