"""`repro-hydra explain RUN --rerun`: what is steady, what is not, and what was otherwise when the original ran."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from laboratory import Laboratory, edit, laboratory_in
from parting_runs import CONFIG, Handed, explained, rewrite

from repro_hydra.explain.rerun import explained_by
from repro_hydra.session.recorded import Watch

SCRIPT = """\
import time

import hydra
import numpy as np
import repro_hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    weights = np.zeros(3)
    for step in range(4):
        weights += cfg.lr * np.random.rand(3)
        if cfg.what == "clock" and step == 2:
            weights += time.time_ns() % 1000003
        repro_hydra.fingerprint("weights", weights)
        repro_hydra.log_metrics({"sum": float(weights.sum())}, step=step)
    return float(weights.sum())


if __name__ == "__main__":
    main()
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Two runs of NumPy: one that comes out again, and one that reads a clock in its third step."""
    lab = laboratory_in(tmp_path_factory.mktemp("lab"))
    lab.holding(SCRIPT, CONFIG)
    return SimpleNamespace(lab=lab, steady=lab.original(), clock=lab.original("what=clock"))


def test_a_steady_run_comes_out_again(ran: SimpleNamespace) -> None:
    """Equal after one rerun, which is kept where `reproduce` keeps its own; the project stays as it was."""
    lab: Laboratory = ran.lab
    before = lab.everything()
    document = explained(lab, ran.steady, "--rerun", code=0)
    assert lab.everything() == before
    assert lab.scratch_left() == []
    (rerun,) = document["reruns"]
    assert (document["a"], document["b"], document["original"]) == (str(ran.steady), rerun, str(ran.steady))
    assert document["headline"].startswith("the run comes out again as it did")
    assert document["compared"]["fingerprint_steps"] == 4
    assert json.loads((Path(rerun) / ".repro" / "run.json").read_text())["status"] == "completed"
    assert explained(lab, ran.steady, rerun, code=0)["compared"]["fingerprint_steps"] == 4


def test_an_unsteady_run_differs_from_itself(ran: SimpleNamespace) -> None:
    """One rerun is not as the original, nor as another rerun: those two are told of."""
    document = explained(ran.lab, ran.clock, "--rerun", code=1)
    assert document["unsteady"] is True
    assert [document["a"], document["b"]] == document["reruns"]
    assert (document["stage"], document["step"], document["tensor"]) == ("weights", 2, "weights")
    assert "the run is unsteady" in document["causes"][-1]["detail"]
    ended = ran.lab.repro("explain", *document["reruns"])
    assert (ended.code, "'weights' (number 2)" in ended.out) == (1, True)


def test_parts_of_tensors_are_compared_with_the_same_parts(ran: SimpleNamespace, tmp_path: Path) -> None:
    """Where the original's fingerprints are of `steps`, so are the first rerun's, and two more read all."""
    runs = []
    for number, loss in enumerate("aabc"):
        runs.append(shutil.copytree(ran.steady, tmp_path / str(number)))
        line = {"step": 0, "optimizer_index": 0, "scheme": 2, "loss": loss * 16}
        tensors = {"tensors": {"weights": {"w": loss * 16}}, "weights": loss * 16} if number > 1 else {}
        config = json.loads((runs[-1] / ".repro" / "config.json").read_text())
        config["repro"]["fingerprint"]["level"] = "full" if tensors else "steps"
        (runs[-1] / ".repro" / "config.json").write_text(json.dumps(config))
        (runs[-1] / ".repro" / "fingerprints.jsonl").write_text(json.dumps(line | tensors) + "\n")
    (runs[0] / ".repro" / "result.json").write_text("{}")
    handed = Handed(*runs[1:], original=runs[0])
    answer = explained_by(handed, tmp_path, os.environ, bisect=False)  # type: ignore[arg-type]
    assert handed.watched == [None, Watch(), Watch()]
    assert (answer.unsteady, answer.stage, answer.a, answer.b) == (True, "loss", str(runs[2]), str(runs[3]))


def test_an_original_that_ran_otherwise(ran: SimpleNamespace, tmp_path: Path) -> None:
    """Reruns equal each other and not the record: the answer holds the original against a rerun."""
    copy = shutil.copytree(ran.steady, tmp_path / "copy")
    prints = copy / ".repro" / "fingerprints.jsonl"
    rewrite(prints, lambda line: line | ({"digest": "0" * 16} if line["step"] >= 2 else {}))
    document = explained(ran.lab, copy, "--rerun", "--output", tmp_path / "new", code=1)
    assert document["unsteady"] is False
    assert (document["stage"], document["step"]) == ("weights", 2)
    assert (document["a"], document["b"]) == (str(copy), document["reruns"][0])
    assert all(rerun.startswith(str(tmp_path / "new")) for rerun in document["reruns"])
    assert len(document["reruns"]) == 2
    assert document["headline"].startswith("reruns are equal, and the original is not")


def test_a_record_that_was_changed_is_asked_about(ran: SimpleNamespace, tmp_path: Path) -> None:
    copy = shutil.copytree(ran.steady, tmp_path / "copy")
    document = json.loads((copy / ".repro" / "run.json").read_text())
    edit(copy / ".repro" / "run.json", argv=[*document["argv"], "lr=0.2"])
    before = ran.lab.runs()
    ended = ran.lab.repro("explain", str(copy), "--rerun")
    ended.refused(2, "It would run:", "lr=0.2", "repro-hydra explain --rerun --yes")
    assert ran.lab.runs() == before


def test_what_cannot_be_made_again_is_told(ran: SimpleNamespace, tmp_path: Path) -> None:
    copy = shutil.copytree(ran.steady, tmp_path / "copy")
    (copy / ".repro" / "config.json").unlink()
    document = explained(ran.lab, copy, "--rerun", "--yes", code=1)
    assert (document["stage"], document["reruns"]) == (None, [])
    assert [cause["area"] for cause in document["causes"]] == ["record"]


def test_misuse(ran: SimpleNamespace, tmp_path: Path) -> None:
    run, sweep = str(ran.steady), tmp_path / "sweep"
    (sweep / ".repro").mkdir(parents=True)
    (sweep / ".repro" / "sweep.json").write_text("{}")
    ran.lab.repro("explain", run).refused(2, "expected two runs, found 1", "--rerun")
    ran.lab.repro("explain", run, run, "--rerun").refused(2, "--rerun: expected one run")
    ran.lab.repro("explain", str(sweep), "--rerun").refused(2, "expected a run, found a sweep")
    ran.lab.repro("explain", run, "--rerun", "--env", "other").refused(2, "--env: expected one of")
    ran.lab.repro("explain", run, run, "--yes").refused(2, "--rerun")
