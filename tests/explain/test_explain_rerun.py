"""`repro-hydra explain RUN --rerun`: what is steady, what is not, and what was otherwise when the original ran."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from laboratory import Laboratory, edit, laboratory_in
from parting_runs import CONFIG, SCRIPT, explained, rewrite, write_data

pytest.importorskip("torch")

LEAVES = "    open('left.txt', 'a').write('x')\n    left = len(open('left.txt').read())\n"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A steady run and one whose batches are in a new order each time, both with fingerprints of `steps`."""
    lab = laboratory_in(tmp_path_factory.mktemp("lab"))
    script = SCRIPT.replace("    data = torch", f"{LEAVES}    data = torch").replace(
        '"loss": loss.item()}\n', '"loss": loss.item(), "left": left}\n'
    )
    lab.holding(script, CONFIG, **{".gitignore": "outputs/\nmultirun/\n__pycache__/\ndata/\nleft.txt\n"})
    write_data(lab, train=0)
    datasets = "hydra.callbacks.repro.data.datasets={train: data/train.npy}"
    lab.run("-m", "+repro=strict", datasets, "what=nothing,order").ok()
    (lab.top / "left.txt").unlink()
    steady, order = (lab.sweep() / name for name in "01")
    return SimpleNamespace(lab=lab, steady=steady, order=order)


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
    assert document["compared"]["fingerprint_steps"] == 6
    assert json.loads((Path(rerun) / ".repro" / "run.json").read_text())["status"] == "completed"
    assert explained(lab, ran.steady, rerun, code=0)["compared"]["fingerprint_steps"] == 6


def test_an_unsteady_run_differs_from_itself(ran: SimpleNamespace) -> None:
    """One rerun as the original, two tensor by tensor; and none finds what another left in its tree."""
    document = explained(ran.lab, ran.order, "--rerun", code=1)
    assert document["unsteady"] is True
    assert len(document["reruns"]) == 3
    assert [document["a"], document["b"]] == document["reruns"][1:]
    assert (document["stage"], document["step"]) == ("batch", 0)
    assert "the run is unsteady" in document["causes"][-1]["detail"]
    lines = [
        json.loads((Path(rerun) / ".repro" / "fingerprints.jsonl").read_text().splitlines()[0])
        for rerun in document["reruns"]
    ]
    assert ["tensors" in line for line in lines] == [False, True, True]
    for rerun in document["reruns"]:
        assert json.loads((Path(rerun) / ".repro" / "result.json").read_text())["left"] == 1
    assert ran.lab.scratch_left() == []


def test_an_original_that_ran_otherwise(ran: SimpleNamespace, tmp_path: Path) -> None:
    """Reruns equal each other and not the record: the answer holds the original against a rerun."""
    copy = shutil.copytree(ran.steady, tmp_path / "copy")
    prints = copy / ".repro" / "fingerprints.jsonl"
    rewrite(prints, lambda line: line | ({"loss": "0" * 16} if line["step"] >= 2 else {}))
    document = explained(ran.lab, copy, "--rerun", "--output", tmp_path / "new", code=1)
    assert document["unsteady"] is False
    assert (document["stage"], document["step"]) == ("loss", 2)
    assert (document["a"], document["b"]) == (str(copy), document["reruns"][0])
    assert all(rerun.startswith(str(tmp_path / "new")) for rerun in document["reruns"])
    assert document["headline"].startswith("two reruns are equal, and the original is not")


def test_a_record_that_was_changed_is_asked_about(ran: SimpleNamespace, tmp_path: Path) -> None:
    copy = shutil.copytree(ran.steady, tmp_path / "copy")
    document = json.loads((copy / ".repro" / "run.json").read_text())
    edit(copy / ".repro" / "run.json", overrides=[*document["overrides"], "lr=0.2"])
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


def test_misuse(ran: SimpleNamespace) -> None:
    run = str(ran.steady)
    ran.lab.repro("explain", run).refused(2, "expected two runs, found 1", "--rerun")
    ran.lab.repro("explain", run, run, "--rerun").refused(2, "--rerun: expected one run")
    ran.lab.repro("explain", str(ran.lab.sweep()), "--rerun").refused(2, "expected a run, found a sweep")
    ran.lab.repro("explain", run, "--rerun", "--env", "other").refused(2, "--env: expected one of")
    ran.lab.repro("explain", run, run, "--yes").refused(2, "--rerun")
