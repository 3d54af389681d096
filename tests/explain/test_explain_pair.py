"""`repro-hydra explain A B`: two recorded runs, each pair different in one known way."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from laboratory import edit, laboratory_in
from parting_runs import CONFIG, SCRIPT, explained, line_of, rewrite, write_data

pytest.importorskip("torch")

SCALED = SCRIPT.replace(
    "        optimizer.zero_grad()\n",
    "        # from here on otherwise\n        if step >= 3:\n            loss = loss * (1 + 1e-6)\n"
    "        optimizer.zero_grad()\n",
)
STRICT = (
    "+repro=strict",
    "+repro/fingerprint=full",
    "hydra.callbacks.repro.data.datasets={train: data/train.npy, extra: data/extra.npy}",
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """One sweep of pairs, then a run each with another seed, other data (and threads), other code (and data)."""
    lab = laboratory_in(tmp_path_factory.mktemp("lab"))
    lab.holding(SCRIPT, CONFIG, **{".gitignore": "outputs/\nmultirun/\n__pycache__/\ndata/\n"})
    write_data(lab, train=0, extra=0)
    lab.run("-m", *STRICT, "what=nothing,order,dropout", "seed=1,1").ok()
    sweep = lab.sweep()
    pairs = {
        name: (sweep / str(2 * n), sweep / str(2 * n + 1))
        for n, name in enumerate(("equal", "order", "dropout"))
    }
    seed = lab.original(*STRICT[1:], "seed=2")
    write_data(lab, train=1, extra=0)
    data = lab.original(*STRICT[1:], "hydra.callbacks.repro.determinism.threads=2")
    write_data(lab, train=0, extra=1)
    lab.write("train.py", SCALED)
    lab.write("README.md", "A project.\n")
    lab.commit()
    code = lab.original(*STRICT[1:])
    base = pairs["equal"][0]
    return SimpleNamespace(
        lab=lab, sweep=sweep, base=base, **pairs, seed=(base, seed), data=(base, data), code=(base, code)
    )


def told(document: dict[str, Any]) -> tuple[Any, Any]:
    return document["stage"], document["step"]


def areas(document: dict[str, Any]) -> list[str]:
    return [cause["area"] for cause in document["causes"]]


def test_equal_runs(ran: SimpleNamespace) -> None:
    """A sweep's two jobs of one config; by their directories, by an id, and one with itself."""
    document = explained(ran.lab, *ran.equal, code=0)
    assert {key: document[key] for key in ("step", "stage", "tensor", "max_abs_diff", "causes")} == {
        "step": None, "stage": None, "tensor": None, "max_abs_diff": None, "causes": [],
    }  # fmt: skip
    assert document["compared"]["fingerprint_steps"] == document["compared"]["logged_values"] == 6
    run_id = json.loads((ran.base / ".repro" / "run.json").read_text())["run_id"]
    ended = ran.lab.repro("explain", run_id[:12], str(ran.base)).ok()
    assert "one and the same run" in ended.out


def test_another_seed_comes_first(ran: SimpleNamespace) -> None:
    document = explained(ran.lab, *ran.seed, code=1)
    assert told(document) == ("seed", 0)
    assert document["detail"].startswith("seed: 1 and 2; then step 0: python's generator")
    assert "the weights before the first step differ too" in document["detail"]
    assert areas(document)[0] == "seed"
    assert document["max_abs_diff"] > 0


def test_code_is_named_by_file_and_line(ran: SimpleNamespace) -> None:
    """At the step from which it acts; other data, a comment and prose changed too, and explain less."""
    document = explained(ran.lab, *ran.code, code=1)
    assert told(document) == ("loss", 3)
    assert 0 < document["max_abs_diff"] < 1e-4
    first = document["causes"][0]
    line = line_of("if step >= 3", SCALED)
    assert (first["area"], first["file"], first["line"]) == ("code", "train.py", line)
    assert first["detail"] == f"train.py:{line}: `if step >= 3:` is new (and 2 more lines)"
    hardly = {
        cause["file"] or cause["area"]: cause["detail"]
        for cause in document["causes"]
        if "(hardly" in cause["detail"]
    }
    assert set(hardly) == {"README.md", "data"}
    assert "the batch is equal" in hardly["data"]
    assert areas(document).index("determinism") < areas(document).index("data")


def test_code_that_is_nowhere_to_be_had_is_told_by_its_trees(ran: SimpleNamespace, tmp_path: Path) -> None:
    """The runs alone, copied away: no line can be named, and none is made up."""
    a, b = (shutil.copytree(run, tmp_path / name) for run, name in zip(ran.code, "ab", strict=True))
    document = explained(ran.lab, a, b, code=1, cwd=tmp_path)
    first = document["causes"][0]
    assert (first["area"], first["file"], first["line"]) == ("code", None, None)
    assert told(document) == ("loss", 3)


def test_data(ran: SimpleNamespace) -> None:
    """And a thread more, which cannot have changed a batch."""
    document = explained(ran.lab, *ran.data, code=1)
    assert told(document) == ("batch", 0)
    first = document["causes"][0]
    assert first["area"] == "data"
    assert first["detail"].startswith("train: ")
    (threads, *_) = [cause["detail"] for cause in document["causes"] if "threads" in cause["detail"].lower()]
    assert "(hardly: nothing that was computed differs before it)" in threads


def test_the_order_of_batches(ran: SimpleNamespace) -> None:
    """Nothing recorded differs, so the stage itself tells what it can."""
    document = explained(ran.lab, *ran.order, code=1)
    assert told(document) == ("batch", 0)
    assert areas(document) == ["data", "determinism"]
    assert "nothing recorded differs" in document["causes"][1]["detail"]


def test_dropout_that_is_seeded_by_the_clock(ran: SimpleNamespace) -> None:
    """The seeding audit has the line, and it comes first."""
    document = explained(ran.lab, *ran.dropout, code=1)
    assert (*told(document), document["tensor"]) == ("rng", 2, "torch")
    first = document["causes"][0]
    assert (first["area"], first["file"], first["line"]) == ("seed", "train.py", line_of("manual_seed"))


def test_the_page(ran: SimpleNamespace) -> None:
    """For people: where, how far, why; the headline last, as `reproduce` has it."""
    ended = ran.lab.repro("explain", *map(str, ran.code))
    assert ended.code == 1
    lines = ended.out.splitlines()
    assert lines[2].startswith("they part at step 3: other values of the loss")
    assert lines[3].startswith("largest difference there: ")
    assert lines[4].startswith("likely cause: code: train.py:")
    assert lines[-1].startswith("they differ in loss at step 3")


@pytest.fixture
def copy(ran: SimpleNamespace, tmp_path: Path) -> Path:
    return shutil.copytree(ran.base, tmp_path / "copy")


def test_fingerprints_of_another_scheme_are_not_compared(ran: SimpleNamespace, copy: Path) -> None:
    """Said, and what else is recorded is; where the loss was logged otherwise, that is told."""
    prints, logged = copy / ".repro" / "fingerprints.jsonl", copy / ".repro" / "metrics.jsonl"
    rewrite(prints, lambda line: line | ({"scheme": 1} if "scheme" in line else {}))
    document = explained(ran.lab, ran.base, copy, code=0)
    assert document["why_not"] == "made by scheme 2 and by scheme 1"
    rewrite(logged, lambda line: line | ({"loss": line["loss"] + 0.25} if line["step"] == 4 else {}))
    document = explained(ran.lab, ran.base, copy, code=1)
    assert (*told(document), document["tensor"]) == ("metrics", 4, "loss")
    assert document["max_abs_diff"] == pytest.approx(0.25)
    assert (
        "fingerprints were not compared: made by scheme"
        in ran.lab.repro("explain", str(ran.base), str(copy)).out
    )


def test_fingerprints_of_other_steps_are_not_compared(ran: SimpleNamespace, copy: Path) -> None:
    """Each second step of the one is no other step of the other."""
    config = json.loads((copy / ".repro" / "config.json").read_text())
    config["repro"]["fingerprint"]["every"] = 2
    (copy / ".repro" / "config.json").write_text(json.dumps(config))
    prints = copy / ".repro" / "fingerprints.jsonl"
    prints.write_text("".join(prints.read_text().splitlines(keepends=True)[::2]))
    document = explained(ran.lab, ran.base, copy, code=0)
    assert document["why_not"] == "one took each 1. step, the other each 2. (fingerprint.every)"


def test_a_generator_that_nobody_seeded_is_looked_past(ran: SimpleNamespace, tmp_path: Path) -> None:
    """It differs in every two runs: equal where nothing follows, else what does follow is told."""
    a, b = (shutil.copytree(ran.base, tmp_path / which) for which in "ab")
    for run, digest in ((a, "a"), (b, "b")):
        edit(run / ".repro" / "run.json", seed_set=False, seeds={"numpy": None, "torch": 1})
        rewrite(
            run / ".repro" / "fingerprints.jsonl",
            lambda line, digest=digest: line | {"rng": line["rng"] | {"numpy": digest * 16}},
        )
    ended = ran.lab.repro("explain", str(a), str(b)).ok()
    assert "numpy began in other states, and nothing follows from it" in ended.out
    prints = b / ".repro" / "fingerprints.jsonl"
    rewrite(prints, lambda line: line | ({"batch": "0" * 16} if line["step"] == 4 else {}))
    document = explained(ran.lab, a, b, code=1)
    assert told(document) == ("batch", 4)
    assert document["causes"][0]["area"] == "seed"
    assert "numpy began in other states" in document["causes"][0]["detail"]
    edit(a / ".repro" / "run.json", seeds={"numpy": 1, "torch": 1})
    edit(b / ".repro" / "run.json", seeds={"numpy": 1, "torch": 1})
    document = explained(ran.lab, a, b, code=1)
    assert (*told(document), document["tensor"]) == ("rng", 0, "numpy")


def test_what_is_to_be_ignored(ran: SimpleNamespace, copy: Path) -> None:
    """A time that was measured, in metrics and in the result."""
    (copy / ".repro" / "fingerprints.jsonl").unlink()
    rewrite(copy / ".repro" / "metrics.jsonl", lambda line: line | {"seconds": 0.5})
    edit(copy / ".repro" / "result.json", seconds=3.0)
    document = explained(ran.lab, ran.base, copy, code=1)
    assert (*told(document), document["tensor"]) == ("metrics", 0, "seconds")
    explained(ran.lab, ran.base, copy, "--ignore", "sec*", code=0)


def test_equal_trainings_with_another_metric(ran: SimpleNamespace, copy: Path) -> None:
    """Fingerprints say that the training is the same: what differs was made beside it."""
    edit(copy / ".repro" / "result.json", loss=7.0)
    document = explained(ran.lab, ran.base, copy, code=1)
    assert (*told(document), document["tensor"]) == ("metrics", None, "loss")
    assert document["causes"][0]["area"] == "metrics"
    assert "the trainings are equal" in document["causes"][0]["detail"]


def test_initial_weights_and_a_tensor_are_told(ran: SimpleNamespace, copy: Path) -> None:
    """Weights that were other before the first step; and one gradient, by its parameter's name."""
    prints = copy / ".repro" / "fingerprints.jsonl"
    before = prints.read_text()
    rewrite(prints, lambda line: line | ({"initial_weights": "0" * 16} if line["step"] == 0 else {}))
    document = explained(ran.lab, ran.base, copy, code=1)
    assert told(document) == ("weights", 0)
    assert "the initial weights differ" in document["causes"][0]["detail"]
    prints.write_text(before)

    def other_gradient(line: dict[str, Any]) -> dict[str, Any]:
        if line["step"] == 5:
            line["tensors"]["gradients"]["2.bias"] = line["gradients"] = "0" * 16
        return line

    rewrite(prints, other_gradient)
    document = explained(ran.lab, ran.base, copy, code=1)
    assert (*told(document), document["tensor"]) == ("gradient", 5, "2.bias")
    assert "backward" in document["causes"][0]["detail"]


@pytest.mark.parametrize(("name", "stage"), [("gradients", "gradient"), ("q_values", None)])
def test_a_value_that_the_program_handed_in(
    ran: SimpleNamespace, tmp_path: Path, name: str, stage: str | None
) -> None:
    """Its stage is that of its name, if it is called like one; nothing is said of digests that are not there."""
    runs = [shutil.copytree(ran.base, tmp_path / which) for which in "ab"]
    for run, digest in zip(runs, "ab", strict=True):
        with (run / ".repro" / "fingerprints.jsonl").open("a") as stream:
            stream.write(json.dumps({"step": 0, "name": name, "digest": "0" * 16}) + "\n")
            stream.write(json.dumps({"step": 1, "name": name, "digest": digest * 16}) + "\n")
    document = explained(ran.lab, *runs, code=1)
    assert (*told(document), document["tensor"]) == (stage, 1, name)
    assert "a value that the program handed in" in document["causes"][0]["detail"]


def test_a_run_that_was_cut_off_is_compared_as_far_as_it_went(ran: SimpleNamespace, copy: Path) -> None:
    """How they ended is all that differs; that the other has more is no difference."""
    edit(copy / ".repro" / "run.json", status="interrupted")
    for name in ("fingerprints", "metrics"):
        file = copy / ".repro" / f"{name}.jsonl"
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:3]))
    (copy / ".repro" / "result.json").unlink()
    document = explained(ran.lab, ran.base, copy, code=1)
    assert (*told(document), document["detail"]) == (
        None,
        None,
        "the first completed, the second interrupted",
    )
    assert document["compared"]["fingerprint_steps"] == 3


def test_a_seed_from_which_nothing_follows(ran: SimpleNamespace, copy: Path) -> None:
    edit(copy / ".repro" / "run.json", seed=5)
    document = explained(ran.lab, ran.base, copy, code=0)
    assert document["stage"] is None
    (cause,) = document["causes"]
    assert cause["area"] == "seed"
    assert cause["detail"].startswith("seed: 1 and 5, and nothing follows from it")


def test_misuse(ran: SimpleNamespace, copy: Path) -> None:
    lab = ran.lab
    run = str(ran.base)
    lab.repro("explain", run).refused(2, "expected two runs")
    lab.repro("explain", run, run, run).refused(2, "expected two runs")
    lab.repro("explain", run, "outputs/nothing").refused(2, "no such directory")
    lab.repro("explain", run, str(ran.sweep)).refused(2, "expected a run, found a sweep", "repro-hydra list")
    (copy / ".repro" / "fingerprints.jsonl").write_text("{not json}\n")
    ended = lab.repro("explain", run, str(copy))
    assert (ended.code, "Traceback" in ended.text) == (0, False)
    assert "fingerprints were not compared: damaged" in ended.out
    (copy / ".repro" / "run.json").write_text("{")
    lab.repro("explain", run, str(copy)).refused(1, "damaged")
