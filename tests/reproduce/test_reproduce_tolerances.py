"""What a run's config calls near enough is recorded with it, and holds for its reproduction, metric by metric."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from doors_project import load
from laboratory import SCRIPT, Laboratory, edit, laboratory_in
from made_records import MadeSweep

from repro_hydra.record.paths import SweepPaths
from repro_hydra.record.schema import SweepRecord
from repro_hydra.record.store import read
from repro_hydra.reproduce.original import read_original
from repro_hydra.reproduce.results import DEFAULT_ATOL, Tolerance
from repro_hydra.reproduce.sweeps import _of_all
from repro_hydra.reproduce.tolerances import tolerances_of
from repro_hydra.reproduce.verdict import Judgement, impossible

TOLERANCE = "hydra.callbacks.repro.tolerance"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    lab = laboratory_in(tmp_path_factory.mktemp("lab"))
    lab.holding(SCRIPT)
    lab.original(f"{TOLERANCE}.rtol=1e-12", f"{TOLERANCE}.metrics={{acc*: {{atol: 0.5}}}}")
    return lab


@pytest.fixture
def run(lab: Laboratory, tmp_path: Path) -> Path:
    (original,) = lab.top.glob("outputs/*/*")
    return shutil.copytree(original, tmp_path / "run")


def test_the_config_of_the_run_says_what_is_near_enough(lab: Laboratory, run: Path) -> None:
    """It stands in the verdict; what is asked for on the command line holds instead, for every metric."""
    result = load(run, "result")
    edit(run / ".repro/result.json", accuracy=result["accuracy"] + 0.1)
    document = lab.reproduce(run)
    assert document["verdict"] == "WITHIN_TOLERANCE"
    assert document["headline"].endswith("within rtol=1e-12, atol=1e-08; accuracy rtol=1e-12, atol=0.5")
    assert (document["rtol"], document["atol"]) == (1e-12, 1e-8)
    assert document["tolerances"] == {"accuracy": {"rtol": 1e-12, "atol": 0.5}}
    edit(run / ".repro/result.json", accuracy=result["accuracy"], python=result["python"] * (1 + 1e-7))
    assert lab.reproduce(run)["verdict"] == "DIVERGED"
    document = lab.reproduce(run, "--rtol", "1e-5", "--atol", "0")
    assert document["verdict"] == "WITHIN_TOLERANCE"
    assert document["tolerances"] == {}

    # Whoever made the results does not say what is near enough to them.
    config = load(run, "config")["repro"]
    edit(
        run / ".repro/config.json",
        repro=config | {"tolerance": {"rtol": 1e300, "metrics": {"*": {"atol": 1e300}}}},
    )
    edit(run / ".repro/result.json", accuracy=result["accuracy"] + 0.1)
    document = lab.reproduce(run, "--yes")
    assert document["verdict"] == "DIVERGED"
    assert (document["rtol"], document["atol"], document["tolerances"]) == (1e-5, 1e-8, {})
    told = lab.repro("reproduce", str(run)).err
    assert "tolerance: rtol=1e-05, atol=1e-08; the record calls something else near enough" in told


def test_a_sweep_tells_the_tolerance_of_the_first_job_that_can_be_read(tmp_path: Path) -> None:
    sweep = read(SweepPaths(MadeSweep(tmp_path, range(2)).dir).sweep, SweepRecord)
    unreadable = impossible(None, "m/0", ["record: m/0: truncated"])
    judged = msgspec.structs.replace(unreadable, run_id="0" * 32, rtol=0.5, atol=0.25)
    asked = Judgement(rtol=0.125)
    outcome = _of_all(sweep, tmp_path, [unreadable, judged], asked)
    assert (outcome.rtol, outcome.atol) == (0.5, 0.25)
    outcome = _of_all(sweep, tmp_path, [unreadable, unreadable], asked)
    assert (outcome.rtol, outcome.atol) == (0.125, DEFAULT_ATOL)


@pytest.mark.parametrize("wide", ["Infinity", -1, True, None, [1], 10**400])
def test_what_is_no_tolerance_widens_none(run: Path, wide: Any) -> None:
    """A record may come from anybody."""
    config = load(run, "config")["repro"]
    edit(
        run / ".repro/config.json",
        repro=config | {"tolerance": {"rtol": wide, "metrics": {"*": {"atol": wide}}}},
    )
    assert tolerances_of(read_original(run), None, None).of("accuracy") == Tolerance()
    edit(run / ".repro/config.json", repro=config | {"tolerance": wide})
    assert tolerances_of(read_original(run), None, None).of("accuracy") == Tolerance()
    assert tolerances_of(read_original(run), 0.5, 0.25).of("accuracy") == Tolerance(0.5, 0.25)


@pytest.mark.parametrize(
    ("override", "named"),
    [("rtol=-1", "tolerance.rtol"), ("metrics={loss: 3}", "tolerance.metrics.loss"),
     ("metrics={loss: {tol: 1}}", "tolerance.metrics.loss"), ("metrics=3", "tolerance.metrics")],
)  # fmt: skip
def test_a_slip_in_the_config_is_said_before_the_run(lab: Laboratory, override: str, named: str) -> None:
    lab.run("+repro=strict", f"{TOLERANCE}.{override}").refused(2, f"hydra.callbacks.repro.{named}: expected")
