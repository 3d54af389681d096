"""Two ranks under torchrun, with gloo, are struck and begun again: the bits of the run that was left alone."""

from __future__ import annotations

import gc
import random
from pathlib import Path

import pytest
import torch.distributed as dist
from rank_training import Ranks
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from repro_hydra import resumable
from repro_hydra.checkpoint.agreement import Agreement
from repro_hydra.checkpoint.errors import CheckpointError
from repro_hydra.checkpoint.file import Header
from repro_hydra.checkpoint.position import Position, Schedule
from repro_hydra.checkpoint.rank_sets import RankShelf
from repro_hydra.checkpoint.ranks import Together, sums_in_another_order
from repro_hydra.session.resume_ranks import one_at_a_time


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Ranks:
    """A project, and its undisturbed run."""
    folder = tmp_path_factory.mktemp("ranks")
    (folder / "home").mkdir()
    made = Ranks(folder / "project", folder / "home")
    done = made.start("calm")
    assert done.returncode == 0, done.stdout + done.stderr
    return made


def test_a_run_of_two_ranks_that_was_struck_ends_with_the_same_bits(ranks: Ranks) -> None:
    """TERM to one rank, TERM to torchrun, and KILL to one rank: weights, optimizer, generators, metrics and result."""
    said = ranks.struck("struck", ["SIGTERM@2@1", "SIGTERM@7@agent", "SIGKILL@10@1"])
    left = ranks.left("struck")
    left.same_bits(ranks.left("calm"))
    run = left.run
    assert (run["status"], run["upheld"], run["world_size"]) == ("completed", "yes", 2)
    one, agent, killed = run["restarts"]
    assert (one["reason"], one["status"], agent["reason"], agent["status"]) == ("SIGTERM", "preempted") * 2
    assert 2 < one["step"] < 8 <= agent["step"] < 12
    for attempt, restart in ((said[0], one), (said[1], agent)):
        assert attempt.count(f"SIGTERM: a checkpoint was made at step {restart['step']},") == 2
    # Who loses the other in a collective has failed, and the record says so; it goes on from the last set. (Not killed
    # at the last step: no collective comes after it, and the other may see torchrun's TERM before that death.)
    assert killed["status"] == "failed"
    assert killed["reason"] in ("RuntimeError", "DistBackendError", "DistNetworkError")
    assert killed["step"] == agent["step"]
    assert [process["role"] for process in run["processes"]] == ["main", "rank 1"]
    names = [path.name for path in ranks.sets("struck")]
    assert len(names) == 2
    assert "step12" in names[-1]


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_any_strike_at_any_step(ranks: Ranks, seed: int) -> None:
    """Three strikes of any kind, to any process, at any steps, between any checkpoints, by count or by the clock."""
    chance = random.Random(seed)
    steps = sorted(chance.sample(range(12), 3))
    strikes = []
    for step in steps:
        name, target = chance.choice(
            [("SIGTERM", "agent"), ("SIGTERM", "all"), ("SIGUSR2", "all"), ("SIGKILL", "all")]
            + [(name, rank) for name in ("SIGTERM", "SIGKILL", "SIGUSR1") for rank in "01"]
        )
        strikes.append(f"{name}@{step}@{target}")
    arguments = [f"every={chance.choice(['null', '1', '3'])}", f"seconds={chance.choice(['null', '0.4'])}"]
    ranks.struck(f"soak-{seed}", strikes, *arguments, f"pause={chance.choice([0, 0.02, 0.15])}")
    ranks.left(f"soak-{seed}").same_bits(ranks.left("calm"))


@pytest.mark.soak
def test_another_number_of_ranks_does_not_go_on(ranks: Ranks) -> None:
    """By name, with the record as it was; then it goes on with as many as before."""
    place = ranks.top / "strike-world"
    ranks.start("world", STRIKES=f"SIGTERM@4@1@{place}")
    before = ranks.run("world")
    assert before["status"] == "preempted"
    for world in (1, 3):
        done = ranks.start("world", world=world)
        assert done.returncode == 1
        assert "[continued-with-other-world-size]" in done.stderr
        assert f"expected the world size that the run began with, 2, found {world}" in done.stderr
        assert ranks.run("world") == before
    assert ranks.start("world").returncode == 0
    ranks.left("world").same_bits(ranks.left("calm"))


@pytest.mark.parametrize(
    ("written", "words"), [((1,), "this rank's part"), ((0,), "no part of rank 1 came within")]
)
def test_who_ends_says_that_a_set_is_not_whole(tmp_path: Path, written: tuple[int, ...], words: str) -> None:
    """A full disk on one of them: nobody waits for ever, and nobody says that all is well."""
    shelves = [
        RankShelf(tmp_path, "loop1", rank=rank, world=2, attempt="a" * 8, number=0, keep=2) for rank in (0, 1)
    ]
    position = Position(step=4, epoch=0)
    for rank, shelf in enumerate(shelves):
        shelf.next_set(4)
        if rank in written:
            shelf.save(Header(name="loop1", step=4, epoch=0), {"position": position.as_plain()})
    schedule = Schedule(every_epochs=1, every_steps=None, every_s=None, clock=lambda: 0.0)
    agreement = Agreement(tmp_path, 0, say=lambda _: None)
    told = Together(schedule, agreement, shelves[0], parts_s=0.1).before_the_end()
    assert told is not None
    assert words in told


def test_gradients_that_a_restart_adds_in_another_order_are_named(tmp_path: Path) -> None:
    """From three ranks on, and not where every step has the first one's arrangement."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        told = DistributedDataParallel(nn.Linear(2, 2))
        assert sums_in_another_order(2) is None
        assert "find_unused_parameters=True" in str(sums_in_another_order(3))
        del told
        gc.collect()
        steady = DistributedDataParallel(nn.Linear(2, 2), find_unused_parameters=True)
        assert sums_in_another_order(3) is None
        del steady
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", ""])
def test_a_loops_name_is_a_files(tmp_path: Path, name: str) -> None:
    """Else no checkpoint of it could ever be written, or it would lie elsewhere."""
    with pytest.raises(ValueError, match="name: expected"), resumable(directory=tmp_path, name=name):
        pass


def test_two_loops_at_once_are_refused_by_name() -> None:
    with (
        one_at_a_time("generator"),
        pytest.raises(CheckpointError, match="found discriminator within generator"),
        one_at_a_time("discriminator"),
    ):
        pass
    with one_at_a_time("another"):
        pass
