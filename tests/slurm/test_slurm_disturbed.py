"""Disturbed in every way, at random steps: the bits of the run that nobody disturbed, or a truth about the failure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest
from disturbances import CONFIG, KINDS, SCRIPT, STEPS, Disturbed, Round, end_state, undisturbed
from doors_project import Project, load
from slurm_cluster import Cluster, another_cluster, why_not

pytestmark = pytest.mark.slurm


def check(project: Project, found: Disturbed, name: str, seeds: range) -> None:
    """Every end state is that of the undisturbed run; the record knows of each restart, and nobody's lock is left."""
    expected = undisturbed(project, seeds) if not (project.top / "undisturbed").exists() else None
    for number, seed in enumerate(seeds):
        run = project.top / name / str(number)
        reference = expected[seed] if expected else end_state(project.top / "undisturbed" / str(number))
        assert end_state(run) == reference, (found.planned[number], found.restarts[number])
        record = load(run, "run")
        assert record["status"] == "completed"
        assert record["upheld"] == "yes", record["findings"]
        for restart in found.restarts[number]:
            assert restart["reason"]
            assert 0 <= restart["step"] <= STEPS
        assert (run / ".repro" / "manifest.json").exists()
        assert list(run.glob(".repro-lock*")) == []
    # One that ends by itself within its grace time has no restart: run again, it finds itself completed.
    assert sum(bool(restarts) for restarts in found.restarts.values()) >= len(seeds) - 1, found
    assert [job["status"] for job in load(project.top / name, "sweep")["jobs"]] == ["completed"] * len(seeds)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster of its own: nodes are struck for minutes, and other tests go on with theirs meanwhile."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with another_cluster(monkeypatch) as found:
        yield found
        found.cancel_all()


@pytest.mark.long
@pytest.mark.timeout(0)  # as long as it takes: each wait within has its own limit
@pytest.mark.parametrize(
    "rounds",
    [pytest.param(5, id="thirty_times"), pytest.param(50, id="three_hundred_times", marks=pytest.mark.soak)],
)
def test_disturbed_many_times(project: Project, cluster: Cluster, rounds: int) -> None:
    """Sweeps of six jobs, each struck in another way at a random step. The 300 begin with the 30."""
    random, seeds = Random(7), range(6)
    project.holding(SCRIPT, CONFIG)
    ways: Counter[str] = Counter()
    for number in range(rounds):
        kinds = list(KINDS)
        random.shuffle(kinds)
        found = Round(project, cluster, kinds, random, f"round{number}").run(seeds)
        check(project, found, f"round{number}", seeds)
        ways.update(
            f"{kind} → {restart['reason']}"
            for job, (kind, _) in found.planned.items()
            for restart in found.restarts[job]
        )
        ways["told as failed, but for scancel"] += sum(kinds[job] != "scancel" for job in found.failed)
        print(f"round {number + 1}: {dict(ways)}", flush=True)
