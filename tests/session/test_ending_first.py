"""A signal that comes while the end of a run is written: the record is whole, and the signal is not lost."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

import repro_hydra
from repro_hydra.record.schema import ErrorInfo, ProcessInfo
from repro_hydra.session import closing
from repro_hydra.session.capture import failed_rank
from repro_hydra.session.child import ChildSession
from repro_hydra.session.ending import Terminated, ending_first, terminating
from repro_hydra.session.plan import Job, options_from


def write_the_end(written: list[str]) -> None:
    with terminating(), ending_first():
        signal.raise_signal(signal.SIGTERM)
        written.append("all of it")


def a_run(run_dir: Path, *, fails: bool) -> None:
    with repro_hydra.session({"seed": 1}, mode="record", run_dir=run_dir):
        if fails:
            raise RuntimeError("Connection closed by peer")


def test_a_signal_comes_to_who_heard_it_before_when_the_end_is_written() -> None:
    """TERM to the job's own handler, USR2 to the user's; the handlers are what they were."""
    heard: list[int] = []
    users = signal.signal(signal.SIGUSR2, lambda number, _: heard.append(number))
    written: list[str] = []
    try:
        with pytest.raises(Terminated):
            write_the_end(written)
        assert written == ["all of it"]
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        with ending_first():
            signal.raise_signal(signal.SIGUSR2)
            assert heard == []
        assert heard == [signal.SIGUSR2]
    finally:
        signal.signal(signal.SIGUSR2, users)


def test_in_another_thread_no_handler_is_set() -> None:
    """Python lets nobody, and a run may be in one."""
    entered: list[Any] = []

    def run() -> None:
        with ending_first():
            entered.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert entered == [signal.SIG_DFL]


@pytest.mark.parametrize("fails", [False, True])
def test_the_record_says_how_the_run_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """torchrun sends TERM a tenth of a second after another rank has ended; what had happened here was lost."""
    wait = closing.wait_for_ranks

    def struck(*arguments: Any) -> None:
        signal.raise_signal(signal.SIGTERM)
        wait(*arguments)

    monkeypatch.setattr(closing, "wait_for_ranks", struck)
    with pytest.raises(Terminated):
        a_run(tmp_path / "run", fails=fails)
    run = json.loads((tmp_path / "run" / ".repro" / "run.json").read_text())
    assert run["status"] == ("failed" if fails else "completed")
    assert (run["error"] or {}).get("type") == ("RuntimeError" if fails else None)
    assert (tmp_path / "run" / ".repro" / "manifest.json").exists()
    assert not (tmp_path / "run" / ".repro-lock").exists()


def test_a_run_has_not_completed_where_a_rank_was_told_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rank 0 came to its end; what the other had to do after its loop was not done, and a restart must do it."""
    a_run(tmp_path / "run", fails=False)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    options = options_from({"mode": "record", "seed": {"set": False}})
    job = Job(run_dir=tmp_path / "run", config={})
    with pytest.raises(Terminated), ChildSession(options, job, tmp_path / "run"):
        raise Terminated
    run = json.loads((tmp_path / "run" / ".repro" / "run.json").read_text())
    assert (run["status"], run["upheld"]) == ("failed", "no")
    assert run["error"]["type"] == "SIGTERM"
    assert run["error"]["message"].startswith("rank 1: ")


def test_of_several_ranks_the_one_that_failed_by_itself_is_named() -> None:
    """torchrun tells the others to end as soon as one has failed."""
    ended, told, failed = (
        ProcessInfo(pid=number, role=f"rank {number}", error=error)
        for number, error in enumerate(
            (
                None,
                ErrorInfo(type="SIGTERM", message="interrupted from outside"),
                ErrorInfo(type="ValueError", message="no such label"),
            )
        )
    )
    assert failed_rank([ended, told, failed]) == failed
    assert failed_rank([ended, told]) == told
    assert failed_rank([ended]) is None
