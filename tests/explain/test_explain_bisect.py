"""`repro-hydra explain RUN --rerun --bisect`: the operator by which a run differs from itself, with its line."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from laboratory import Laboratory, edit, laboratory_in
from parting_runs import CONFIG, UNSTEADY, Handed, explained, line_of, rewrite

from repro_hydra.explain.bisect import bisected
from repro_hydra.record.fingerprint import FirstDifference

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Two unsteady runs: a kernel that adds in no fixed order, and a clock within a forward pass."""
    lab = laboratory_in(tmp_path_factory.mktemp("lab"))
    lab.holding(UNSTEADY, CONFIG, **{".gitignore": "outputs/\n__pycache__/\nleft.txt\n"})
    lab.run("+repro=record", "+repro/fingerprint=full", "what=kernel").ok()
    kernel = lab.only_run()
    (lab.top / "left.txt").unlink()
    forward = lab.original("what=forward")
    (lab.top / "left.txt").unlink()
    return SimpleNamespace(lab=lab, kernel=kernel, forward=forward)


def bisection(lab: Laboratory, run: Path) -> dict[str, Any]:
    before = lab.everything()
    document = explained(lab, run, "--rerun", "--bisect", code=1)
    assert lab.everything() == before
    assert lab.scratch_left() == []
    assert document["unsteady"] is True
    assert document["operator_why_not"] is None
    return document


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two threads at the same time")
def test_a_kernel_that_adds_in_no_fixed_order(ran: SimpleNamespace) -> None:
    """In a backward pass: the line is that of the forward operator, since no line of the user's calls it."""
    document = bisection(ran.lab, ran.kernel)
    assert document["stage"] == "gradient"
    assert document["operator"].startswith("aten.index_put")
    assert document["module"] == "Layer"
    assert document["max_abs_diff_of"] == f"output of {document['operator']}"
    assert 0 < document["max_abs_diff"] < 1e-5
    first = document["causes"][0]
    assert (first["area"], first["file"], first["line"]) == (
        "determinism",
        "train.py",
        line_of("self.table[", UNSTEADY),
    )
    assert "in module Layer in the backward pass gives another output for equal inputs" in first["detail"]
    (seed,) = [cause["detail"] for cause in document["causes"] if cause["area"] == "seed"]
    assert "python and numpy began in other states" in seed  # in each two runs, and nothing follows from it


def test_a_clock_in_a_forward_pass(ran: SimpleNamespace) -> None:
    """Under strict, at a step that is not looked at from the beginning; the first rerun had told which."""
    document = bisection(ran.lab, ran.forward)
    assert (document["stage"], document["step"], document["operator"]) == ("forward", 12, "aten.mul.Tensor")
    first = document["causes"][0]
    assert (first["file"], first["line"]) == ("train.py", line_of("time_ns()", UNSTEADY))
    assert "which no operator of torch made" in first["detail"]
    assert document["max_abs_diff"] > 1e-3
    assert len(document["reruns"]) == 3
    assert "forward of step 12" in document["headline"]
    records = [Path(rerun) / ".repro" for rerun in document["reruns"]]
    # The original's fingerprints are of `steps`: the first rerun's too, the others' are of every tensor.
    prints = [json.loads((record / "fingerprints.jsonl").read_text().splitlines()[0]) for record in records]
    assert ["tensors" in line for line in prints] == [False, True, True]
    # What a run leaves in its tree is not there for the next; and no run is told apart by what it is asked to do.
    assert [json.loads((record / "result.json").read_text())["left"] for record in records] == [1, 1, 1]
    configs = [json.loads((record / "config.json").read_text())["resolved"] for record in records]
    assert (
        configs[0] == configs[1] == json.loads((ran.forward / ".repro/config.json").read_text())["resolved"]
    )


def test_misuse(ran: SimpleNamespace) -> None:
    ran.lab.repro("explain", str(ran.kernel), "--bisect").refused(2, "expected --rerun beside them")


@pytest.fixture
def parting_at(ran: SimpleNamespace, tmp_path: Path) -> Any:
    """Makes a copy of a run whose loss is another from a step on."""

    def made(step: int) -> Path:
        copy = shutil.copytree(ran.forward, tmp_path / f"copy-{step}-{len(list(tmp_path.iterdir()))}")
        prints = copy / ".repro" / "fingerprints.jsonl"
        rewrite(prints, lambda line: line | ({"loss": f"{step:016x}"} if line["step"] >= step else {}))
        return copy

    return made


def bisect(handed: Handed, first: FirstDifference | None, scratch: Path) -> Any:
    return bisected(handed, first, scratch, os.environ)  # type: ignore[arg-type]


def at(step: int) -> FirstDifference:
    return FirstDifference(step=step, stage="loss", optimizer_index=0, detail="")


def test_reruns_that_are_equal_name_no_operator(ran: SimpleNamespace, tmp_path: Path) -> None:
    """Two pairs, then it is taken to be steady: said, not guessed."""
    handed = Handed(*[ran.forward] * 6)
    answer = bisect(handed, at(12), tmp_path)
    assert (answer.equal, answer.operator) == (True, None)
    assert answer.operator_why_not == "of 2 pairs of reruns 2 were equal"
    assert [(watch.first_step, watch.last_step) for watch in handed.watched if watch] == [(8, 16)] * 4


def test_a_run_that_parts_elsewhere_each_time(ran: SimpleNamespace, parting_at: Any, tmp_path: Path) -> None:
    """Each pair looks where the one before it parted; after three that is told."""
    runs = [ran.forward, parting_at(13), ran.forward, parting_at(3), ran.forward, parting_at(13)]
    handed = Handed(*runs)
    answer = bisect(handed, at(4), tmp_path)
    assert (answer.equal, answer.operator) == (False, None)
    assert answer.operator_why_not == (
        "of 3 pairs of reruns 0 were equal, 3 parted where nothing was written down"
    )
    windows = [(watch.first_step, watch.last_step) for watch in handed.watched if watch]
    assert windows[::2] == [(0, 8), (9, 17), (0, 7)]


def test_a_trace_that_is_not_there_is_told(ran: SimpleNamespace, parting_at: Any, tmp_path: Path) -> None:
    answer = bisect(Handed(ran.forward, parting_at(4)), at(4), tmp_path)
    assert answer.operator is None
    assert answer.operator_why_not.startswith("a run left no whole list of its operators")


def test_a_run_that_cannot_be_looked_at_is_held_against_itself_all_the_same(
    ran: SimpleNamespace, parting_at: Any, tmp_path: Path
) -> None:
    """Some code of torch refuses to run below a dispatch mode: two runs that fail alike are no steady run."""
    failed = shutil.copytree(ran.forward, tmp_path / "failed")
    error = {"type": "NotImplementedError", "message": "no rule for this mode\nand so on"}
    edit(failed / ".repro" / "run.json", status="failed", error=error)
    handed = Handed(failed, failed, ran.forward, parting_at(3), original=ran.forward)
    answer = bisect(handed, at(4), tmp_path)
    assert (answer.equal, answer.step, answer.operator) == (False, 3, None)
    assert answer.operator_why_not == (
        "the run fails where its operators are written down (NotImplementedError: no rule for this mode)"
    )
    assert [watch.trace is None for watch in handed.watched if watch] == [False, False, True, True]


def test_a_list_that_ends_early_is_no_other_way(
    ran: SimpleNamespace, parting_at: Any, tmp_path: Path
) -> None:
    """One run of the pair stopped writing: what it did not write is not what it did not do."""
    stopped = parting_at(4)
    message = "no more fingerprints were taken"
    finding = {"id": "fingerprints-stopped", "severity": "harmless", "message": message}
    edit(stopped / ".repro" / "run.json", findings=[finding])
    line = {
        "step": 4,
        "op": "aten.add.Tensor",
        "phase": "forward",
        "inputs": ["0"],
        "outputs": ["0"],
        "kept": [None],
    }
    (tmp_path / "operators-0-a.jsonl").write_text(f"{json.dumps(line)}\n" * 2)
    (tmp_path / "operators-0-b.jsonl").write_text(f"{json.dumps(line)}\n")
    answer = bisect(Handed(ran.forward, stopped), at(4), tmp_path)
    assert answer.operator is None
    assert answer.operator_why_not == f"a run left no whole list of its operators: {message}"
    (tmp_path / "operators-0-b.jsonl").write_text(json.dumps(line | {"outputs": ["1"]}) + "\n")
    answer = bisect(Handed(ran.forward, stopped), at(4), tmp_path)
    assert answer.operator == "aten.add.Tensor"


def test_of_a_long_training_it_looks_from_the_last_step_that_was_compared(
    ran: SimpleNamespace, tmp_path: Path
) -> None:
    handed = Handed(*[ran.forward] * 4)
    bisect(handed, at(40_000), tmp_path)
    assert {(watch.first_step, watch.last_step) for watch in handed.watched if watch} == {(39_984, 40_004)}


def test_without_a_place_the_first_pair_finds_one(
    ran: SimpleNamespace, parting_at: Any, tmp_path: Path
) -> None:
    """Nothing is written down before it is known where; what is no step of an optimizer is never looked at."""
    handed = Handed(ran.forward, parting_at(4), ran.forward, ran.forward, ran.forward, ran.forward)
    bisect(handed, None, tmp_path)
    assert [watch.trace is None for watch in handed.watched if watch] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
    copy = parting_at(14)
    with (copy / ".repro" / "fingerprints.jsonl").open("a") as stream:
        stream.write('{"step": 0, "name": "q", "digest": "0000000000000000"}\n')
    answer = bisect(Handed(ran.forward, copy), None, tmp_path)
    assert answer.operator_why_not == "what differs first is no step of an optimizer of torch"
