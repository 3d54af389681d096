"""`repro_hydra.reproduce`, `compare`, `verify` and `validate_results`, as a notebook calls them."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from doors_project import LIMIT_S
from laboratory import SCRIPT, Laboratory

import repro_hydra
from repro_hydra.record.reproduction import ResultsValidation

# In an interpreter of its own: `verify` holds the record against the very process that asks, and the one that runs all
# the tests has had its threads and variables changed by others.
NOTEBOOK = """
import json, sys
from pathlib import Path

import repro_hydra
from repro_hydra.record.reproduction import Comparison, Reproduction, Verification
from repro_hydra.record.store import RecordError
from repro_hydra.reproduce.again import NotConfirmed


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes, indent=2))


def refused(error, call):
    try:
        call()
    except error as raised:
        return str(raised)
    raise AssertionError(f"expected {error.__name__}")


run = Path(sys.argv[1])
verified = repro_hydra.verify(str(run))
assert isinstance(verified, Verification)
assert verified.ok, verified
again = repro_hydra.reproduce(json.loads((run / ".repro/run.json").read_text())["run_id"][:8])
assert isinstance(again, Reproduction)
assert (again.verdict, again.missing, again.causes) == ("BITWISE", [], []), again
assert (again.compared.metrics, again.compared.fingerprint_steps) == (3, 1)
compared = repro_hydra.compare(run, again.reproduction, only=["metrics", "config", "code", "seed", "files"])
assert isinstance(compared, Comparison)
assert compared.same, compared
edit(Path(again.reproduction) / ".repro/result.json", accuracy=0.0)
compared = repro_hydra.compare(run, again.reproduction, only=["metrics"])
assert [(item.area, item.key, item.b) for item in compared.differences] == [("metrics", "accuracy", 0.0)]

assert "only: expected some of" in refused(ValueError, lambda: repro_hydra.compare(run, run, only=["colour"]))
edit(run / ".repro/run.json", argv=["train.py", "seed=4"])
assert not repro_hydra.verify(run).ok
refused(NotConfirmed, lambda: repro_hydra.reproduce(run))
(run / ".repro/run.json").write_text("{")
refused(RecordError, lambda: repro_hydra.compare(run, again.reproduction))
"""


def test_the_guide_s_pipeline(lab: Laboratory) -> None:
    """A run is verified, reproduced and compared by its id, each with a typed answer and nothing printed."""
    lab.holding(SCRIPT)
    run = lab.original("seed=3")
    lab.write("train.py", "raise SystemExit('edited since')\n")
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK, str(run)],
        cwd=lab.top, env=lab.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_results_are_validated_metric_by_metric() -> None:
    """Errors by name, bits and tolerance apart, and what is missing on either side."""
    expected = {
        "loss": 0.5,
        "acc": {"top1": 0.9, "top5": np.float32(0.1)},
        "nan": math.nan,
        "gone": 1.0,
        "text": "a",
    }
    actual = {"loss": 0.5 * (1 + 1e-7), "acc": {"top1": 0.8, "top5": np.float32(0.1)}, "nan": math.nan, "text": "b",
              "new": 2}  # fmt: skip
    outcome = repro_hydra.validate_results(expected, actual, rtol=1e-5, atol=0.0)
    assert isinstance(outcome, ResultsValidation)
    rows = {row.name: row for row in outcome.metrics}
    assert (rows["loss"].within, rows["loss"].equal_bits) == (True, False)
    assert rows["loss"].rel_error == pytest.approx(1e-7)
    assert (rows["acc.top1"].within, rows["acc.top1"].abs_error) == (False, pytest.approx(0.1))
    assert rows["acc.top5"].equal_bits
    assert rows["nan"].equal_bits
    assert not rows["text"].within
    assert (outcome.missing, outcome.unexpected, outcome.ok) == (["gone"], ["new"], False)
    assert repro_hydra.validate_results({"loss": 0.5}, {"loss": 0.500001}).ok
    assert not repro_hydra.validate_results({"loss": 0.5}, {"loss": 0.500001}, rtol=1e-9).ok
    assert not repro_hydra.validate_results({"loss": 0.5}, {"loss": math.nan}).ok
    assert repro_hydra.validate_results({}, {"loss": 1.0}).unexpected == ["loss"]


def test_what_would_not_be_compared_is_refused() -> None:
    """A matrix is no metric, and no tolerance is below zero: neither may end in the answer yes."""
    for expected, actual in (({"m": np.zeros((2, 2))}, {"m": np.ones((2, 2))}), ({"m": 1}, {"m": object()})):
        with pytest.raises(ValueError, match=r"^validate_results: m: (ndarray|object) is no number"):
            repro_hydra.validate_results(expected, actual)
    for tolerance in ({"rtol": -1.0}, {"atol": math.nan}):
        with pytest.raises(ValueError, match=r"^[ra]tol: expected a number from 0 up"):
            repro_hydra.validate_results({"loss": 0.5}, {"loss": 0.5}, **tolerance)
