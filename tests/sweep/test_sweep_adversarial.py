"""The aggregate over trees that nobody would make on purpose: one row, one reason, and never a silent number."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from made_records import MadeSweep, make_run
from typer.testing import CliRunner

from repro_hydra.cli.app import command_line
from repro_hydra.record.store import write_json
from repro_hydra.sweep.aggregate import aggregate

TOP = Path(__file__).parent.parent.parent
ROW_KEYS = ["config", "metric", "n", "planned", "failed", "missing", "mean", "std", "ci_low", "ci_high"]
ROW_KEYS += ["confidence", "coefficient_of_variation", "coefficient_of_variation_corrected", "stable"]
ROW_KEYS += ["within_tolerance", "min", "median", "max", "seeds", "notes"]


def command(*arguments: str, code: int = 0) -> str:
    """The command, in this process: a fresh one spends a second on its imports alone."""
    done = CliRunner().invoke(command_line(), ["aggregate", *arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.output


def made(top: Path) -> Path:
    """Everything at once: see the test for what must become of it."""
    sweep = MadeSweep(top / "sweep", range(6), variants=[{"model": "a"}, {"model": "b"}])
    for seed in range(4):
        sweep.run(seed, {"m": 1.0 + 0.1 * seed, "text": "fine", "flag": True})
    sweep.run(4, error="no such layer")
    # Job 5 was deleted. Of model b: NaN, infinity, a string, a number as usual, one still running, one lost.
    sweep.run(6, {"m": "NaN"})
    sweep.run(7, {"m": "-Infinity"})
    sweep.run(8, {"m": "three"})
    sweep.run(9, {"m": 2.0})
    sweep.run(10, None, status="interrupted")
    sweep.run(
        11, None, status="running", host="a machine that nobody has", heartbeat_at="2020-01-01T00:00:00Z"
    )
    # A sweep in a job's directory, a link to the top, a folder that is no record, a file in a record's place.
    inner = MadeSweep(top / "sweep" / "0" / "inner", range(2), variants=[{"model": "c"}])
    inner.run_all([5.0, 5.0], "m")
    (top / "sweep" / "loop").symlink_to(top, target_is_directory=True)
    (top / "odd" / ".repro").mkdir(parents=True)
    (top / "file").mkdir()
    (top / "file" / ".repro").write_text("")
    for place, values in {
        "negative": [-3.0, -3.1, -2.9],
        "mixed": [-1.0, 1.0, 0.5],
        "zero": [0.001, -0.001, 0.0],
    }.items():
        for seed, value in enumerate(values):
            make_run(top / place / str(seed), seed=seed, result={"m": value}, config={"model": place})
    return top


def test_every_row_has_its_reason(tmp_path: Path) -> None:
    """The document of `--json`, from the command and from the script, alike to the byte."""
    top = made(tmp_path)
    text = command(str(top), "--json")
    script = subprocess.run(
        [sys.executable, "scripts/aggregate.py", str(top), "--json"], capture_output=True, text=True, cwd=TOP,
        timeout=200,
    )  # fmt: skip
    assert (script.returncode, script.stdout) == (0, text), script.stderr
    document = json.loads(text)
    assert list(document) == ["rows", "left_out"]
    rows = {(row["config"]["model"], row["metric"]): row for row in document["rows"]}
    assert all(list(row)[: len(ROW_KEYS)] == ROW_KEYS for row in rows.values())
    assert set(rows) == {(model, "m") for model in ("a", "b", "c", "negative", "mixed", "zero")}

    a = rows["a", "m"]
    assert (a["n"], a["planned"], a["failed"], a["missing"]) == (4, 6, 1, 1)
    assert a["mean"] == pytest.approx(1.15)
    assert a["std"] == pytest.approx(0.12909944487358055)
    assert (a["ci_low"], a["ci_high"]) == pytest.approx((0.9445739743, 1.3554260257))  # 3.182446 · std / 2
    assert a["seeds"] == [0, 1, 2, 3]
    assert any("planned, and no run of it is there: seed 5" in note for note in a["notes"])

    b = rows["b", "m"]
    assert (b["n"], b["planned"], b["failed"], b["missing"]) == (3, 6, 2, 0)
    assert b["mean"] is b["std"] is b["ci_low"] is b["coefficient_of_variation"] is b["median"] is None
    assert any("1 NaN and 1 infinite among 3 values" in note for note in b["notes"])

    c = rows["c", "m"]
    assert (c["std"], c["mean"]) == (0.0, 5.0)
    assert any("identical" in note for note in c["notes"])
    assert rows["negative", "m"]["coefficient_of_variation"] == pytest.approx(0.1 / 3.0)
    assert rows["negative", "m"]["stable"] is True
    assert rows["negative", "m"]["within_tolerance"] is False
    for model, words in (("mixed", "both signs"), ("zero", "both signs")):
        row = rows[model, "m"]
        assert row["coefficient_of_variation"] is row["stable"] is row["within_tolerance"] is None
        assert any(words in note for note in row["notes"])

    reasons = {str(Path(item["dir"]).relative_to(top)): item["reason"] for item in document["left_out"]}
    assert reasons["sweep/4"] == "failed: ValueError: no such layer"
    assert reasons["sweep/10"] == "interrupted"
    assert reasons["sweep/11"] == "lost"
    assert "no metrics" in reasons["sweep/8"]
    assert "found neither" in reasons["odd"]
    assert set(reasons) == {"sweep/4", "sweep/8", "sweep/10", "sweep/11", "odd"}


def test_every_format_and_status(tmp_path: Path) -> None:
    """Each format has every row and every number it can have; misuse is 2, nothing is 1."""
    top = made(tmp_path)
    for form, words in {
        "table": "left out: ",
        "csv": "config.model,metric,n,planned",
        "latex": r"\bottomrule",
        "markdown": "| configuration | metric |",
        "json": '"left_out"',
    }.items():
        text = command(str(top), "--format", form)
        assert words in text
        assert "nan" not in text.replace("NaN", "")
    assert "expected one of table, json, csv, latex, markdown" in command(str(top), "--format", "xml", code=2)
    assert "--confidence: expected a number between 0 and 1, found 95. Write 0.95" in command(
        str(top), "--confidence", "95", code=2
    )
    assert "expected one of m" in command(str(top), "--metric", "n", code=2)
    assert "no such directory" in command(str(top / "nowhere"), code=2)
    (tmp_path / "none").mkdir()
    assert "nothing to aggregate" in command(str(tmp_path / "none"), code=1)
    text = command(
        str(top / "negative"), "--stable", "0.01", "--tolerance", "0.05", "--bootstrap", "500", "--json"
    )
    (row,) = json.loads(text)["rows"]
    assert (row["stable"], row["within_tolerance"]) == (False, True)
    assert row["bootstrap_low"] < row["interquartile_mean"] < row["bootstrap_high"]
    assert any("below 10" in note for note in row["notes"])
    assert "--stable" in command(str(top), "--stable", "nan", code=2)


def test_what_is_no_repeat(tmp_path: Path) -> None:
    """A seed twice, another code, a run that did not uphold, a reproduction, seeds that share streams."""
    codes = ("1" * 40, "1" * 40, "2" * 40)
    for number, code in enumerate(codes):
        upheld = "no" if number == 1 else "yes"
        make_run(
            tmp_path / str(number),
            seed=number % 2,
            result={"m": 1.0 + number},
            code={"tree": code},
            upheld=upheld,
        )
    (row,) = aggregate([tmp_path]).rows
    notes = " | ".join(row.notes)
    assert "seeds that were run more than once: 0" in notes
    assert "neither stable nor unstable" not in notes
    assert "1 of 3 runs not upheld: seed 1" in notes
    assert "the runs differ in code (1111111111, 2222222222)" in notes
    assert "differ in code" in command(str(tmp_path), "--strict", code=1)
    assert json.loads(command(str(tmp_path), "--upheld", "--json"))["rows"][0]["n"] == 2


def test_one_seed_alone_is_not_stable(tmp_path: Path) -> None:
    """Five runs of one seed agree because they are one run, five times; of a seed that is unknown nobody can say so."""
    for number in range(5):
        make_run(tmp_path / "a" / str(number), seed=1, result={"x": 1.0})
        make_run(tmp_path / "b" / str(number), seed=None, result={"x": 1.0})
    (row,) = aggregate([tmp_path / "a"]).rows
    assert (row.n, row.stable, row.within_tolerance) == (5, None, None)
    assert "neither stable nor unstable: all 5 runs have the seed 1" in row.notes
    (row,) = aggregate([tmp_path / "b"]).rows
    assert row.stable is True


def test_a_reproduction_is_no_further_repeat(tmp_path: Path) -> None:
    """Where the original is there too; alone it is a run like another."""
    original = make_run(tmp_path / "a", seed=0, result={"m": 1.0}, run_id="0" * 32)
    again = make_run(tmp_path / "b", seed=0, result={"m": 1.0}, run_id="1" * 32)
    write_json(again / ".repro" / "reproduction.json", {"schema": "1.0", "run_id": "0" * 32})
    found = aggregate([tmp_path])
    assert found.rows[0].n == 1
    assert [(item.dir, item.reason) for item in found.left_out] == [
        (str(again), f"a reproduction of the run in {original}")
    ]
    assert aggregate([tmp_path / "b"]).rows[0].n == 1


@pytest.mark.parametrize(("seeds", "told"), [((0, 1, 2), True), ((0, 4, 8), False), ((0, 3, 8), True)])
def test_seeds_whose_ranks_share_streams(tmp_path: Path, seeds: tuple[int, ...], told: bool) -> None:
    """With seed + rank on four ranks, seed 0 rank 1 is seed 1 rank 0."""
    for seed in seeds:
        make_run(tmp_path / str(seed), seed=seed, result={"m": 1.0 + seed}, world_size=4, rank_offset=True)
    notes = " ".join(aggregate([tmp_path]).rows[0].notes)
    assert ("not independent" in notes) == told
    assert ("seed=range(0,12,4)" in notes) == told
