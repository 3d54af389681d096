"""Ranks as threads, in a real folder: whoever is struck, all save and stop at the same boundaries, and nobody hangs."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from repro_hydra.checkpoint import notice as notice_module
from repro_hydra.checkpoint.agreement import Agreement, Asked, Promise, first_promise
from repro_hydra.checkpoint.errors import CheckpointError
from repro_hydra.checkpoint.notice import Notice
from repro_hydra.checkpoint.rank_entry import Beginning, Entry, Process

LIMIT_S = 30.0
EPOCH = 10


def silent(_text: str) -> None:
    return


def go(
    folder: Path,
    rank: int,
    steps: int,
    *,
    between: Callable[[int], None] = lambda _: None,
    asked_at: int | None = None,
    due_from: tuple[int, ...] = (),
    epoch_steps: int = EPOCH,
) -> tuple[list[int], int | None]:
    """One rank's way: where it saved because of the clock or a signal, and where it stopped."""
    agreement = Agreement(folder, rank, say=silent, wait_s=LIMIT_S, ahead_s=0.006)
    saves = []
    for step in range(1, steps + 1):
        between(step)
        decided = agreement.decide(
            asked="SIGTERM" if asked_at is not None and step >= asked_at else None,
            due=sum(step >= one for one in due_from) > len(saves),
            epoch=step // epoch_steps if step % epoch_steps == 0 else None,
            last=step == steps,
        )
        if decided.save:
            saves.append(step)
        if decided.ends is not None:
            assert decided.ends == "SIGTERM"
            return saves, step
    return saves, None


@pytest.mark.parametrize("seed", range(12))
def test_all_ranks_save_and_stop_at_the_same_boundary(tmp_path: Path, seed: int) -> None:
    """Three ranks that wait for each other in each step, as in a collective; signals to any of them, at any step."""
    chance = random.Random(seed)
    first_promise(tmp_path)
    world, steps = 3, 60
    collective = threading.Barrier(world, timeout=LIMIT_S)
    every = chance.choice([1, 1, 3])  # gradients are exchanged at each step, or now and then
    struck = {chance.randrange(world): chance.randrange(1, 70) for _ in range(chance.randrange(3))}

    def between(step: int) -> None:
        if step % every == 0:
            collective.wait()
        time.sleep(chance.random() * 0.002)

    def one(rank: int) -> tuple[list[int], int | None]:
        due = tuple(chance.sample(range(1, steps), 4)) if rank == 0 else (3, 4, 5)
        return go(tmp_path, rank, steps, between=between, asked_at=struck.get(rank), due_from=due)

    with ThreadPoolExecutor(world) as pool:
        ways = [
            future.result(timeout=LIMIT_S) for future in [pool.submit(one, rank) for rank in range(world)]
        ]
    assert ways[0] == ways[1] == ways[2]
    saves, stopped = ways[0]
    asked = min(struck.values(), default=None)
    if stopped is not None:
        assert asked is not None
        assert stopped >= min(asked, steps)
    else:
        assert saves
    if struck.get(0, steps + 1) <= steps:
        assert stopped is not None  # rank 0's own signal is never lost, also not at the very last step


@pytest.mark.parametrize("asked_from", [5, EPOCH, EPOCH + 1])
def test_where_steps_are_slow_a_signal_stops_all_soon(tmp_path: Path, asked_from: int) -> None:
    """A promise reaches no further than it must, also where an epoch ends right after its last step."""
    first_promise(tmp_path)
    seconds = [0.0]
    agreement = Agreement(tmp_path, 0, say=silent, clock=lambda: seconds[0])
    for step in range(1, 100):
        seconds[0] += 10.0
        asked = "SIGTERM" if step >= asked_from else None
        if agreement.decide(asked=asked, due=False, epoch=None, last=False).ends:
            break
        if step % EPOCH == 0:
            seconds[0] += 0.001
            if agreement.decide(asked=asked, due=False, epoch=step // EPOCH, last=False).ends:
                break
    assert step <= asked_from + 2


def test_where_steps_are_fast_few_of_them_cost_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rank 0 writes, and the others look, some times a second and not at each step."""
    first_promise(tmp_path)
    seconds = [0.0]
    zero = Agreement(tmp_path, 0, say=silent, clock=lambda: seconds[0])
    one = Agreement(tmp_path, 1, say=silent, clock=lambda: seconds[0])
    touched: list[str] = []
    for name in ("write", "read"):
        original = getattr(notice_module.Notice, name)

        def counted(
            self: object, *rest: object, _as: str = name, _do: Callable[..., object] = original
        ) -> object:
            touched.append(_as)
            return _do(self, *rest)

        monkeypatch.setattr(notice_module.Notice, name, counted)
    for _ in range(10_000):
        seconds[0] += 0.001
        for agreement in (zero, one):
            assert not agreement.decide(asked=None, due=False, epoch=None, last=False).save
    assert touched.count("write") < 130
    assert touched.count("read") < 130


def test_ranks_that_are_not_near_each_other_agree_too(tmp_path: Path) -> None:
    """Nothing makes them wait for each other: rank 1 comes late, and finds all that was decided meanwhile."""
    first_promise(tmp_path)
    due = tuple(range(5, 200, 7))
    ahead = go(tmp_path, 0, 200, due_from=due, between=lambda _: time.sleep(0.001))
    assert len(ahead[0]) > 1
    assert go(tmp_path, 1, 200) == ahead


def test_other_numbers_of_batches_are_refused_by_name(tmp_path: Path) -> None:
    """Where each rank counts its own, no step is the same step."""
    first_promise(tmp_path)
    go(tmp_path, 0, 40, due_from=(12, 25))
    with pytest.raises(CheckpointError, match=r"expected as many batches on each rank.*DistributedSampler"):
        go(tmp_path, 1, 44, epoch_steps=11)


def test_nobody_waits_for_a_rank_zero_that_is_gone(tmp_path: Path) -> None:
    first_promise(tmp_path)
    alone = Agreement(tmp_path, 1, say=silent, alive=lambda: False, pause=lambda _: time.sleep(0.01))
    alone.decide(asked=None, due=False, epoch=None, last=False)
    with pytest.raises(CheckpointError, match="rank 0 is gone"):
        alone.decide(asked=None, due=False, epoch=None, last=False)
    seconds = iter(range(0, 10_000_000, 2))
    silent_zero = Agreement(tmp_path, 2, say=silent, clock=lambda: float(next(seconds)), pause=lambda _: None)
    silent_zero.decide(asked=None, due=False, epoch=None, last=False)
    with pytest.raises(CheckpointError, match="decided nothing for 18"):
        silent_zero.decide(asked=None, due=False, epoch=None, last=False)


def test_a_promise_that_cannot_be_written_ends_the_job(tmp_path: Path) -> None:
    """The others would wait for it without end; tried again first, since a mount comes back."""
    first_promise(tmp_path)
    seconds = iter(range(10_000))
    zero = Agreement(tmp_path, 0, say=silent, clock=lambda: float(next(seconds)), pause=lambda _: None)
    (tmp_path / "promise").unlink()
    (tmp_path / "promise").mkdir()
    with pytest.raises(CheckpointError, match="could not tell the other ranks"):
        zero.decide(asked=None, due=False, epoch=None, last=False)


# ------------------------------------------------------------------ the files


def test_a_half_written_notice_says_nothing(tmp_path: Path) -> None:
    """Shorter and longer ones before it, cut anywhere."""
    notice = Notice(tmp_path / "note", Promise)
    assert notice.read() is None
    long, short = Promise(promised=7, saves=list(range(100))), Promise(promised=8)
    notice.write(long)
    notice.write(short)
    assert notice.read() == short
    whole = (tmp_path / "note").read_bytes()
    for cut in range(0, 120, 3):
        (tmp_path / "note").write_bytes(whole[:cut])
        assert notice.read() in (None, short)
    (tmp_path / "note").write_bytes(whole[:60] + b"?" + whole[61:])
    assert notice.read() is None
    Notice(tmp_path / "note", Asked).write(Asked(reason="SIGTERM"))
    assert notice.read() is None


# ------------------------------------------------------------------ the entry

HERE = Process(host="h", pid=1, started_at=0.0)


def enter(folder: Path, rank: int, world: int, begin: Callable[[], Beginning], **more: float) -> Beginning:
    entry = Entry(folder, rank, world, say=silent, **{"wait_s": LIMIT_S, **more})
    if rank == 0:
        return entry.lead(HERE, begin)
    told = entry.follow()
    assert told.attempt == entry.attempt
    return told


def test_the_ranks_of_an_attempt_find_each_other_among_the_notes_of_earlier_ones(tmp_path: Path) -> None:
    """Each attempt has a name of its own, and nobody takes an earlier one's for it, whoever comes first."""
    names = set()
    for attempt in range(6):
        number = attempt + 40
        order = random.Random(attempt).sample(range(3), 3)

        def one(rank: int, order: list[int] = order, number: int = number) -> Beginning:
            time.sleep(0.03 * order.index(rank))
            return enter(tmp_path, rank, 3, lambda: Beginning(number=number, folder="x"))

        with ThreadPoolExecutor(3) as pool:
            told = [
                future.result(timeout=LIMIT_S) for future in [pool.submit(one, rank) for rank in range(3)]
            ]
        assert {each.number for each in told} == {number}
        names |= {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert len(names) == 6
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1


def test_a_rank_that_does_not_come_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match="expected all 3 ranks to enter the loop, found no rank 1, rank 2"
    ):
        enter(tmp_path, 0, 3, Beginning, wait_s=0.05)
    with pytest.raises(CheckpointError, match=r"rank 1 of 3: expected all ranks .*found no rank 0"):
        enter(tmp_path / "other", 1, 3, Beginning, wait_s=0.05)


def test_what_rank_zero_refuses_all_refuse(tmp_path: Path) -> None:
    def refuse() -> Beginning:
        raise CheckpointError("made by 3 ranks")

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(enter, tmp_path, rank, 2, refuse) for rank in range(2)]
        with pytest.raises(CheckpointError, match=r"^made by 3 ranks"):
            both[0].result(timeout=LIMIT_S)
        with pytest.raises(CheckpointError, match="rank 0 refuses to go on: made by 3 ranks"):
            both[1].result(timeout=LIMIT_S)


def test_an_invitation_leads_nobody_out_of_the_folder(tmp_path: Path) -> None:
    Notice(tmp_path / "invitation", dict).write(
        {"attempt": "../../x", "process": {"host": "h", "pid": 1, "started_at": 0.0}}
    )
    entry = Entry(tmp_path, 1, 2, say=silent, wait_s=0.05)
    with pytest.raises(CheckpointError, match="found no rank 0"):
        entry.follow()
    assert entry.attempt == ""
