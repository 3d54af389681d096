"""`repro_hydra.launcher.spec`: what a job gives back, and what becomes of what cannot travel."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from hydra.core.utils import JobReturn, JobStatus

from repro_hydra.launcher.spec import (
    JobDied,
    JobSpec,
    NotSent,
    RemoteTraceback,
    describe_exit,
    in_words,
    read_outcome,
    read_spec,
    write_outcome,
    write_spec,
)


class WantsTwo(Exception):
    """Pickles, and cannot be read back."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


class BreaksOnArrival:
    """A value that can be sent and not received."""

    def __setstate__(self, state: Any) -> None:
        raise ValueError("no way back")

    def __getstate__(self) -> dict[str, int]:
        return {"x": 1}


def there_and_back(folder: Path, value: Any = None, error: BaseException | None = None) -> Any:
    write_outcome(folder / "outcome", value, error, main_by_reference=False)
    return read_outcome(folder / "outcome")


def test_a_spec_is_read_as_written(tmp_path: Path) -> None:
    """Nothing of a job's spec is lost on the way."""
    spec = JobSpec(program=None, task=("m", "f"), argv=["a"], cwd="/", environ={"A": "ü"}, work=b"\0")
    write_spec(tmp_path / "spec", spec)
    assert read_spec(tmp_path / "spec") == spec


def test_a_value_comes_back_and_leaves_no_part_file(tmp_path: Path) -> None:
    """The outcome is whole or not there."""
    assert there_and_back(tmp_path, {"loss": float("inf"), "n": [1, (2,)]}) == {
        "loss": float("inf"),
        "n": [1, (2,)],
    }
    assert [path.name for path in tmp_path.iterdir()] == ["outcome"]


def test_an_error_comes_back_with_its_traceback(tmp_path: Path) -> None:
    """The error is raised here, caused by the text of where it was raised there."""

    def fails_there() -> None:
        raise KeyError("lost")

    try:
        fails_there()
    except KeyError as caught:
        with pytest.raises(KeyError, match="lost") as raised:
            there_and_back(tmp_path, error=caught)
    assert isinstance(raised.value.__cause__, RemoteTraceback)
    assert "fails_there" in str(raised.value.__cause__)


def test_an_exit_comes_back_as_an_exit(tmp_path: Path) -> None:
    """`sys.exit(3)` in a job is told with its code."""
    with pytest.raises(SystemExit) as raised:
        there_and_back(tmp_path, error=SystemExit(3))
    assert raised.value.code == 3


def test_an_error_that_cannot_come_back_is_told_by_its_text(tmp_path: Path) -> None:
    """An exception whose constructor wants other arguments is replaced by its type and message."""
    with pytest.raises(RuntimeError, match="WantsTwo: one two"):
        there_and_back(tmp_path, error=WantsTwo("one", "two"))


@pytest.mark.parametrize(
    "value", [threading.Lock(), BreaksOnArrival()], ids=["cannot leave", "cannot arrive"]
)
def test_a_value_that_cannot_travel_is_named(tmp_path: Path, value: Any) -> None:
    """A job that returns a lock, or something that cannot be read back, fails with a sentence about just that."""
    with pytest.raises(TypeError, match=rf"return value \({type(value).__name__}\) cannot be sent"):
        there_and_back(tmp_path, value)


@pytest.mark.parametrize(
    ("held", "text"),
    [
        (WantsTwo("one", "two"), "WantsTwo: one two"),
        (threading.Lock(), "the job's return value (lock) cannot be sent"),
    ],
    ids=["an error", "a value"],
)
def test_what_a_jobs_return_holds_may_stay_behind(tmp_path: Path, held: object, text: str) -> None:
    """A job that completed stays completed, and one that failed has failed by its own error, told by its text."""
    job = JobReturn()
    job.status, job.return_value = JobStatus.COMPLETED, held
    back = there_and_back(tmp_path, job)
    assert back.status is JobStatus.COMPLETED
    assert isinstance(back._return_value, NotSent)
    assert in_words(back._return_value).startswith(text)


def test_an_error_on_one_line() -> None:
    """A log has a line for each job, whatever its message holds."""
    assert in_words(ValueError("no\n  such layer")) == "ValueError: no / such layer"
    assert in_words(JobDied("job #3 was killed by SIGKILL")) == "job #3 was killed by SIGKILL"


def test_no_outcome_is_a_missing_file(tmp_path: Path) -> None:
    """A job that died wrote nothing."""
    with pytest.raises(FileNotFoundError):
        read_outcome(tmp_path / "outcome")


def test_an_exit_status_in_words() -> None:
    """A signal is named; a number nobody named is told as it is."""
    assert describe_exit(3) == "ended with exit status 3 and no result"
    assert describe_exit(-signal.SIGKILL) == "was killed by SIGKILL"
    assert describe_exit(-200) == "was killed by signal 200"
