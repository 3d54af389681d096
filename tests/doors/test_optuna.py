"""Plain repeats for real: each trial of Optuna, and each job of Hydra's own sweeper, over several seeds."""

from __future__ import annotations

import json
import math
import random
import statistics
from pathlib import Path
from typing import Any

import pytest
import yaml
from doors_project import Project, load, result

SCRIPT = """\
import random

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    if cfg.fail_at == cfg.seed:
        raise ValueError("this seed fails")
    noise = random.Random(cfg.seed).gauss(0, 1)
    loss = (cfg.x - 1) ** 2 + noise
    print(f"task x={cfg.x} seed={cfg.seed}")
    if cfg.many == "mapping":
        return {"loss": loss, "other": 0.0}
    return [loss, noise] if cfg.many == "two" else loss


if __name__ == "__main__":
    main()
"""
CONFIG = "seed: 3\nx: 0.0\nfail_at: -1\nmany: one\n"
REPEATS = "hydra.callbacks.repro.seed.repeats"
DIRECTORY = "hydra.sweep.dir=multirun/s"
OPTUNA = [
    "-m",
    "+repro=standard",
    "hydra/sweeper=optuna",
    "hydra.sweeper.sampler.seed=1",
    "hydra.sweeper.n_trials=4",
    "hydra.sweeper.n_jobs=2",
    "x=interval(-2,2)",
    DIRECTORY,
]


@pytest.fixture
def noisy(project: Project) -> Project:
    pytest.importorskip("optuna", reason="needs hydra-optuna-sweeper")
    return project.holding(SCRIPT, CONFIG)


def losses(x: float, seeds: list[int]) -> list[float]:
    return [(x - 1) ** 2 + random.Random(seed).gauss(0, 1) for seed in seeds]


def best(project: Project) -> Any:
    return yaml.safe_load((project.top / "multirun/s/optimization_results.yaml").read_text())


def jobs(project: Project) -> list[tuple[str, int, Path]]:
    """Each job's x, seed and directory, as the sweep planned them."""
    sweep = project.top / "multirun/s"
    found = []
    for job in load(sweep, "sweep")["jobs"]:
        values = dict(text.split("=", 1) for text in job["overrides"])
        found.append((values["x"], job["seed"], sweep / job["dir"]))
    return found


def test_each_trial_is_the_aggregate_of_its_seeds(noisy: Project) -> None:
    """Optuna is told the mean over the same three seeds for every trial; each seed has its own record."""
    ended = noisy.run(*OPTUNA, f"{REPEATS}=3").ok()
    planned = jobs(noisy)
    assert [seed for _, seed, _ in planned] == [3, 4, 5] * 4
    means = {x: statistics.fmean(losses(float(x), [3, 4, 5])) for x, _, _ in planned}
    assert len(means) == 4
    found = best(noisy)
    assert found["best_value"] == pytest.approx(min(means.values()), rel=1e-12)
    assert means[str(found["best_params"]["x"])] == found["best_value"]
    for x, seed, directory in planned:
        assert result(directory) == {"objective": losses(float(x), [seed])[0]}
    assert ended.out.count("3 of 3") == 4  # the closing table: a row for each trial, with its seeds


def test_median_two_objectives_and_a_fixed_seed(noisy: Project) -> None:
    """`repeats_as`, a study with two directions, and the seed that the command line fixes as the first one."""
    noisy.run(
        *OPTUNA,
        f"{REPEATS}=3",
        f"{REPEATS}_as=median",
        "many=two",
        "seed=7",
        "hydra.sweeper.direction=[minimize,maximize]",
    ).ok()
    noise = statistics.median(random.Random(seed).gauss(0, 1) for seed in (7, 8, 9))
    solutions = best(noisy)["solutions"]
    for solution in solutions:
        x = solution["params"]["x"]
        expected = [statistics.median(losses(x, [7, 8, 9])), noise]
        assert solution["values"] == pytest.approx(expected, rel=1e-12)


def test_a_failed_seed_fails_its_trial(noisy: Project) -> None:
    """It is not left out of the mean: Optuna sees a failed trial, and the sweep ends as one with failures."""
    ended = noisy.run(*OPTUNA, f"{REPEATS}=2", "fail_at=4")
    assert ended.code != 0
    assert "this seed fails" in ended.text
    assert "Traceback" not in ended.out
    sweep = load(noisy.top / "multirun/s", "sweep")
    assert [job["status"] for job in sweep["jobs"]] == ["completed", "failed"] * 2


def test_hydras_own_sweeper_and_a_mapping(noisy: Project) -> None:
    """A grid with repeats is a row for each point; of several metrics the primary one is aggregated."""
    noisy.run(
        "-m",
        "+repro=record",
        "x=0,1",
        "many=mapping",
        f"{REPEATS}=2",
        DIRECTORY,
        "hydra.callbacks.repro.primary_metric=loss",
    ).ok()
    assert [(x, seed) for x, seed, _ in jobs(noisy)] == [("0", 3), ("0", 4), ("1", 3), ("1", 4)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-m", "x=0,1", "seed=1,2", f"{REPEATS}=2"], "this sweep chooses seed itself"),
        (["-m", "x=0,1", f"{REPEATS}=2", "many=mapping"], "found loss, other"),
        ([f"{REPEATS}=2"], "expected a sweep, found a single run. Add -m"),
        (
            ["-m", "hydra/sweeper=repro_seeds", "hydra.sweeper.half_width=1", f"{REPEATS}=2"],
            "repro_seeds chooses the seeds itself",
        ),
    ],
)
def test_misuse(noisy: Project, arguments: list[str], words: str) -> None:
    """One message, exit status 2, no traceback."""
    noisy.run(*arguments, "+repro=standard", DIRECTORY).refused(2, words)


@pytest.mark.parametrize(
    ("count", "statistic", "words"),
    [(0, "mean", "expected at least 1, found 0"), (2, "best", "expected one of mean, median")],
)
def test_bad_options(count: int, statistic: str, words: str) -> None:
    """Where, what was expected, what was found."""
    from repro_hydra.repeats.plain import BadRepeats, check_repeats

    with pytest.raises(BadRepeats, match=words):
        check_repeats(count, statistic)


def test_nan_is_not_left_out() -> None:
    """One seed without a number makes the aggregate no number."""
    from hydra.core.utils import JobReturn, JobStatus

    from repro_hydra.repeats.plain import PlainRepeats

    def ended(value: object) -> JobReturn:
        job = JobReturn(status=JobStatus.COMPLETED)
        job.return_value = value
        return job

    repeats = PlainRepeats(count=2, first_seed=0, seed_override="seed", statistic="interquartile_mean")
    (merged,) = repeats.merge([ended(1.0), ended(math.nan)])
    assert math.isnan(merged.return_value)
    (merged,) = repeats.merge([ended(1.0), ended(2.0)])
    assert merged.return_value == 1.5
    assert json.dumps(repeats.expand([["x=1"]])) == '[["x=1", "seed=0"], ["x=1", "seed=1"]]'
