"""`repro_hydra.session.ranks`: the ranks of one run meet, and nobody else's run is taken for theirs."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from repro_hydra.record.times import format_utc
from repro_hydra.session.ranks import FOLDER, CompletedBefore, Meeting, NoRankZero, meeting

TORCHRUN = {
    "RANK": "1",
    "WORLD_SIZE": "2",
    "TORCHELASTIC_RUN_ID": "a",
    "MASTER_ADDR": "x",
    "MASTER_PORT": "1",
}
STAMPED = "outputs/${now:%Y-%m-%d}/${now:%H-%M-%S}"


def here(tmp_path: Path) -> Meeting:
    place = meeting(STAMPED, tmp_path, TORCHRUN)
    assert place is not None
    return place


def rewrite(place: Meeting, **fields: object) -> None:
    place.note.write_text(json.dumps(json.loads(place.note.read_text()) | fields))


def test_a_process_by_itself_meets_nobody(tmp_path: Path) -> None:
    assert meeting(STAMPED, tmp_path, {}) is None
    assert meeting(STAMPED, tmp_path, {"RANK": "0", "WORLD_SIZE": "1"}) is None


def test_ranks_of_one_run_meet_above_what_differs(tmp_path: Path) -> None:
    """Whatever `${now:}` gives to each."""
    place = here(tmp_path)
    assert place == meeting(STAMPED, tmp_path, TORCHRUN | {"RANK": "0"})
    assert place.note.parent == tmp_path / "outputs" / FOLDER
    fixed = meeting("out/run", tmp_path, TORCHRUN)
    assert fixed is not None
    assert fixed.note.parent == tmp_path / "out" / FOLDER


@pytest.mark.parametrize("other", [{"TORCHELASTIC_RUN_ID": "b"}, {"TORCHELASTIC_RESTART_COUNT": "1"}])
def test_another_run_meets_elsewhere(tmp_path: Path, other: dict[str, str]) -> None:
    assert here(tmp_path) != meeting(STAMPED, tmp_path, TORCHRUN | other)


def test_a_rank_gets_what_rank_zero_told(tmp_path: Path) -> None:
    """Also when it was there first."""
    place = here(tmp_path)
    pauses: list[float] = []

    def rank_zero_comes(pause: float) -> None:
        pauses.append(pause)
        place.announce("running", tmp_path / "run")

    assert place.wait(pause=rank_zero_comes) == tmp_path / "run"
    assert len(pauses) == 1


def test_a_run_that_has_completed_is_taken_part_in_by_nobody(tmp_path: Path) -> None:
    place = here(tmp_path)
    place.announce("completed", tmp_path / "run")
    with pytest.raises(CompletedBefore, match="completed already"):
        place.wait()


def test_a_refusal_is_passed_on(tmp_path: Path) -> None:
    place = here(tmp_path)
    place.announce("refused")
    with pytest.raises(NoRankZero, match="refused"):
        place.wait()


@pytest.mark.parametrize("stale", [{"launcher_pid": 1}, {"launcher_started_at": 1.0}])
def test_the_note_of_an_earlier_launch_on_this_machine_is_passed_over(
    tmp_path: Path, stale: dict[str, object]
) -> None:
    """torchrun gives the same id, address and port to one launch after the other."""
    place = here(tmp_path)
    place.announce("running", tmp_path / "earlier")
    rewrite(place, **stale)
    with pytest.raises(NoRankZero, match="did not say"):
        place.wait(limit_s=0.05)


def test_from_another_machine_a_recent_note_counts(tmp_path: Path) -> None:
    place = here(tmp_path)
    place.announce("running", tmp_path / "run")
    rewrite(place, host="elsewhere", launcher_pid=1)
    assert place.wait() == tmp_path / "run"
    old = format_utc(datetime.now(timezone.utc) - timedelta(hours=1))
    rewrite(place, written_at=old)
    with pytest.raises(NoRankZero, match="did not say"):
        place.wait(limit_s=0.05)


def test_notes_of_runs_long_over_are_taken_away(tmp_path: Path) -> None:
    place = here(tmp_path)
    place.announce("running", tmp_path / "run")
    old = place.note.with_name("0123.json")
    place.note.rename(old)
    days_ago = time.time() - 3 * 86400
    os.utime(old, (days_ago, days_ago))
    place.announce("running", tmp_path / "run")
    assert [note.name for note in place.note.parent.iterdir()] == [place.note.name]


def test_half_a_note_is_waited_for(tmp_path: Path) -> None:
    place = here(tmp_path)
    place.note.parent.mkdir(parents=True)
    place.note.write_text("{")
    assert place.wait(pause=lambda _: place.announce("running", tmp_path / "run")) == tmp_path / "run"
