"""Two ranks under torchrun, with gloo, are struck and begun again: the bits of the run that was left alone."""

from __future__ import annotations

import random

import pytest
from rank_training import Ranks

from repro_hydra.checkpoint.errors import CheckpointError
from repro_hydra.session.resume_ranks import one_at_a_time

pytestmark = pytest.mark.xdist_group("ranks")


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
    said = ranks.struck("struck", ["SIGTERM@2@1", "SIGTERM@7@agent", "SIGKILL@11@1"])
    left = ranks.left("struck")
    left.same_bits(ranks.left("calm"))
    run = left.run
    assert (run["status"], run["upheld"], run["world_size"]) == ("completed", "yes", 2)
    one, agent, killed = run["restarts"]
    assert (one["reason"], one["status"], agent["reason"], agent["status"]) == ("SIGTERM", "preempted") * 2
    assert 2 < one["step"] < 8 <= agent["step"] < 12
    for attempt, restart in ((said[0], one), (said[1], agent)):
        assert attempt.count(f"SIGTERM: a checkpoint was made at step {restart['step']},") == 2
    # Who loses the other in a collective has failed, and the record says so; it goes on from the last set.
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


def test_two_loops_at_once_are_refused_by_name() -> None:
    with (
        one_at_a_time("generator"),
        pytest.raises(CheckpointError, match="found discriminator within generator"),
        one_at_a_time("discriminator"),
    ):
        pass
    with one_at_a_time("another"):
        pass
