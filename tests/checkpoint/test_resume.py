"""A training script with two more lines is killed, goes on, and ends with the bits of the run that was left alone."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest
from training import Laboratory, Left

Undisturbed = Callable[[int], Left]
SIGNALS = {"SIGKILL": -9, "SIGTERM": 143, "SIGUSR1": 138, "SIGUSR2": 140}


@pytest.mark.parametrize(
    ("workers", "strikes"),
    [
        # Within the first epoch, before the next checkpoint was made, at the last step of all, and behind the loop.
        (2, ["SIGTERM@2", "SIGKILL@9", "SIGUSR1@17", "SIGTERM@evaluation"]),
        pytest.param(0, ["SIGUSR2@2", "SIGKILL@9"], marks=pytest.mark.soak),
    ],
)
def test_a_run_that_was_struck_ends_with_the_same_bits(
    laboratory: Laboratory, undisturbed: Undisturbed, workers: int, strikes: list[str]
) -> None:
    """Weights, optimizer, metrics and result are those of the undisturbed run; `restarts` tells of each attempt."""
    name = f"struck-{workers}"
    left, codes = laboratory.struck(name, strikes, f"workers={workers}")
    left.same_bits(undisturbed(workers))
    names = [strike.partition("@")[0] for strike in strikes]
    assert codes == [*(SIGNALS[each] for each in names), 0]
    run = left.run
    assert (run["status"], run["upheld"]) == ("completed", "yes")
    reasons = ["lost" if each == "SIGKILL" else each for each in names]
    assert [restart["reason"] for restart in run["restarts"]] == reasons
    first = laboratory.top / "outputs" / name / ".repro" / "attempts" / "1" / "run.json"
    earlier = json.loads(first.read_text())
    assert earlier["status"] == ("preempted" if names[0] != "SIGKILL" else "running")
    assert earlier["run_id"] == run["run_id"]
    assert earlier["started_at"] == run["started_at"]


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_any_strike_at_any_step(laboratory: Laboratory, undisturbed: Undisturbed, seed: int) -> None:
    """Three strikes of any kind at any steps, in between any checkpoints, with none or two workers."""
    chance = random.Random(seed)
    workers = chance.choice([0, 2])
    steps = sorted(chance.sample(range(18), 3))
    strikes = [f"{chance.choice(list(SIGNALS))}@{step}" for step in steps]
    every = chance.choice(["null", "1", "2", "5"])
    left, _ = laboratory.struck(f"soak-{seed}", strikes, f"workers={workers}", f"every={every}")
    left.same_bits(undisturbed(workers))
