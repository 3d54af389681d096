"""`repro_hydra.launcher.pool` and its clean process: real forks, real interpreters, real OpenMP threads."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from repro_hydra.launcher.pickling import dumps
from repro_hydra.launcher.pool import CleanProcess, Ended, JobPool, can_fork, libraries_to_preload
from repro_hydra.launcher.spec import JobSpec, read_outcome, write_spec

pytestmark = pytest.mark.skipif(not can_fork(), reason="only Linux forks safely")
Start = Callable[..., Path]


@pytest.fixture
def clean() -> Iterator[CleanProcess]:
    process = CleanProcess(os.environ, [], [])
    yield process
    process.close()


def start(pool: JobPool, folder: Path, number: int, work: Any, *, fork: bool = True) -> Path:
    """Start a job that does `work` (by value); gives the file of its outcome."""
    spec, outcome = folder / f"{number}.spec", folder / f"{number}.outcome"
    given = JobSpec(
        program=None,
        task=("", ""),
        argv=["job"],
        cwd=str(folder),
        environ=dict(os.environ),
        work=dumps(work, main_by_reference=False),
    )
    write_spec(spec, given)
    pool.start(number, spec, outcome, dict(os.environ), fork=fork)
    return outcome


def parent_of_job() -> Any:
    """Work that tells whose child the job is."""

    def work(_task: Any, _environment: Any) -> int:
        import os

        return os.getppid()

    return work


def test_jobs_are_forked_or_fresh_as_asked(tmp_path: Path, clean: CleanProcess) -> None:
    """A forked job is the clean process's child, a fresh one ours, and both tell their end."""
    pool = JobPool(clean)
    outcomes = [
        start(pool, tmp_path, 0, parent_of_job()),
        start(pool, tmp_path, 1, parent_of_job(), fork=False),
    ]
    ends = sorted((pool.next_end() for _ in outcomes), key=lambda end: end.number)
    assert ends == [Ended(number=0, code=0), Ended(number=1, code=0)]
    forked, fresh = map(read_outcome, outcomes)
    assert fresh == os.getpid()
    assert forked != fresh


def test_after_openmp_threads_were_started_nothing_is_forked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork after a parallel operator would hang: it is refused, and the job runs in a fresh interpreter."""
    Path(tmp_path, "starts_openmp.py").write_text(
        "import __main__, torch\n"
        "original = __main__.Zygote._start\n"
        "def start(self, job):\n"
        "    torch.set_num_threads(2)\n"
        "    torch.ones(1_000_000).exp().sum()\n"
        "    original(self, job)\n"
        "__main__.Zygote._start = start\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    process = CleanProcess(os.environ, ["starts_openmp"], [])
    try:
        pool = JobPool(process)
        outcome = start(pool, tmp_path, 0, parent_of_job())
        assert pool.next_end() == Ended(number=0, code=0)
        assert read_outcome(outcome) == os.getpid()
    finally:
        process.close()


def test_a_killed_job_ends_alone(tmp_path: Path, clean: CleanProcess) -> None:
    """The signal that killed a job is told as its end, forked or fresh, and the next job runs."""

    def die(_task: Any, _environment: Any) -> None:
        import os
        import signal

        os.kill(os.getpid(), signal.SIGKILL)

    pool = JobPool(clean)
    for number, fork in enumerate((True, False)):
        start(pool, tmp_path, number, die, fork=fork)
        assert pool.next_end() == Ended(number=number, code=-signal.SIGKILL)
    start(pool, tmp_path, 2, parent_of_job())
    assert pool.next_end() == Ended(number=2, code=0)


def test_without_the_clean_process_jobs_run_all_the_same(tmp_path: Path, clean: CleanProcess) -> None:
    """It is a convenience: once it has died, a job that asks for a fork gets a fresh interpreter."""
    pool = JobPool(clean)
    clean._process.kill()
    clean._process.wait()
    clean._control.close()
    outcome = start(pool, tmp_path, 0, parent_of_job())
    assert pool.next_end() == Ended(number=0, code=0)
    assert read_outcome(outcome) == os.getpid()


def test_stop_all_ends_what_runs(tmp_path: Path, clean: CleanProcess) -> None:
    """A job that would run for an hour, and its child, are gone when the sweep is stopped."""

    def wait(_task: Any, _environment: Any) -> None:
        import pathlib
        import signal
        import subprocess

        child = subprocess.Popen(["sleep", "3600"])
        pathlib.Path("pid").write_text(str(child.pid))
        pathlib.Path("pid").rename("begun")
        signal.pause()

    import psutil

    pool = JobPool(clean)
    start(pool, tmp_path, 0, wait, fork=False)
    (pid,) = pool._pids.values()
    job = psutil.Process(pid)
    while not (tmp_path / "begun").exists():
        assert job.is_running()
    child = psutil.Process(int((tmp_path / "begun").read_text()))
    pool.stop_all(signal.SIGTERM)
    gone, alive = psutil.wait_procs([child], timeout=20)
    assert [process.pid for process in gone] == [child.pid]
    assert alive == []


def test_two_unseeded_forks_draw_different_numbers(tmp_path: Path) -> None:
    """A fork copies NumPy's global generator: without new entropy every unseeded job would draw alike."""

    def draw(_task: Any, _environment: Any) -> tuple[float, float]:
        import random

        import numpy as np

        return random.random(), float(np.random.random())

    process = CleanProcess(os.environ, ["numpy"], [])
    try:
        pool = JobPool(process)
        outcomes = [start(pool, tmp_path, number, draw) for number in range(2)]
        for _ in outcomes:
            assert pool.next_end().code == 0
        first, second = map(read_outcome, outcomes)
    finally:
        process.close()
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_what_the_script_imported_is_preloaded_and_no_more() -> None:
    """Only known libraries are, with what torch's first optimizer imports by itself."""
    assert libraries_to_preload({"numpy": 1, "json": 1, "mine": 1}) == ["numpy"]
    assert libraries_to_preload({"torch": 1}) == ["torch", "torch._dynamo"]
    assert libraries_to_preload(dict.fromkeys(sys.builtin_module_names)) == []
