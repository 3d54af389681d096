from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from made_records import MadeSweep, make_run
from rich.console import Console

from repro_hydra.sweep.aggregate import Aggregate, aggregate
from repro_hydra.sweep.render import aggregate_text, render_aggregate, to_csv, to_markdown
from repro_hydra.sweep.table import Column, lay_out


@pytest.fixture
def result(tmp_path: Path) -> Aggregate:
    sweep = MadeSweep(
        tmp_path / "a-directory-with-a-long-name",
        [0, 1, 2],
        variants=[{"optimizer.lr": 0.1}, {"optimizer.lr": 0.01}],
    )
    for num, value in enumerate([0.9611, 0.9722, 0.9702, 0.912, 0.934]):
        sweep.run(num, {"test_accuracy": value})
    sweep.run(5, error="diverged | at step 3")
    return aggregate([tmp_path])


def test_off_a_terminal_nothing_is_cut_nor_painted(result: Aggregate) -> None:
    stream = io.StringIO()
    render_aggregate(result, Console(file=stream, width=20))
    text = stream.getvalue()
    assert "\x1b" not in text
    assert "a-directory-with-a-long-name/5: failed: ValueError: diverged" in text
    heading = text.splitlines()[0].split()
    assert heading[:3] == ["configuration", "metric", "n"]
    assert {"mean", "std", "CoV", "min", "median", "max", "failed"} <= set(heading)
    assert "missing" not in heading  # there are none
    assert "2 of 3" in text


def test_a_narrow_terminal_loses_columns_and_never_the_counts(result: Aggregate) -> None:
    table = [line for line in aggregate_text(result, width=80).splitlines() if "note" not in line]
    rows = [line for line in table if line.startswith(("configuration", "optimizer"))]
    assert all(len(line) <= 80 for line in rows)
    heading = rows[0].split()
    assert "median" not in heading
    assert {"n", "mean", "failed"} <= set(heading)


def test_colours_only_where_they_are_asked_for(result: Aggregate) -> None:
    assert "\x1b[" in aggregate_text(result, colour=True)
    stream = io.StringIO()
    render_aggregate(result, Console(file=stream, force_terminal=True, no_color=True, width=200))
    assert "\x1b" not in stream.getvalue()


def test_csv_keeps_every_digit(result: Aggregate) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(result))))
    assert [row["config.optimizer.lr"] for row in rows] == ["0.01", "0.1"]
    assert float(rows[1]["mean"]) == result.rows[1].mean
    assert rows[1]["seeds"] == "0 1 2"
    assert rows[0]["failed"] == "1"


def test_csv_leaves_the_undefined_empty(tmp_path: Path) -> None:
    make_run(tmp_path / "a", result={"x": 1.5})
    (row,) = csv.DictReader(io.StringIO(to_csv(aggregate([tmp_path]))))
    assert (row["mean"], row["std"], row["planned"]) == ("1.5", "", "")


def test_markdown_escapes_what_would_end_a_cell(tmp_path: Path) -> None:
    make_run(tmp_path / "a", result={"a|b": 1.5})
    table = to_markdown(aggregate([tmp_path])).splitlines()
    assert "a\\|b" in table[2]
    bare = [line.replace("\\|", "").count("|") for line in table[:3]]
    assert len(set(bare)) == 1


def test_a_small_spread_shows_in_the_digits(tmp_path: Path) -> None:
    for seed, value in enumerate([0.96000001, 0.96000003, 0.96000002]):
        make_run(tmp_path / str(seed), seed=seed, result={"x": value})
    assert "0.96000001" in aggregate_text(aggregate([tmp_path]))


def test_a_strangers_record_cannot_drive_the_terminal(tmp_path: Path) -> None:
    hostile = {"x\x1b[2J": 1.5, "a\u202eb": 1.0, "<script>": 1.0, "=cmd|x": 1.0}
    make_run(tmp_path / "a", result=hostile, config={"lr": -0.5, "note": "@SUM(1)", "x": "-1e-3"})
    make_run(tmp_path / "b", error="\x1b]0;owned\x07")
    result = aggregate([tmp_path])
    for text in (aggregate_text(result), to_markdown(result), to_csv(result)):
        assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert "<script" not in to_markdown(result)
    rows = list(csv.DictReader(io.StringIO(to_csv(result))))
    assert "'=cmd|x" in {row["metric"] for row in rows}  # else a spreadsheet would run it
    (configuration,) = {
        tuple(row[f"config.{key}"] for key in ("lr", "x", "note")) for row in rows if row["config.lr"]
    }
    assert configuration == ("-0.5", "-1e-3", "'@SUM(1)")


def test_columns_are_aligned_for_wide_characters() -> None:
    text = lay_out([Column("name"), Column("n", right=True)], [["模型", "1"], ["conv", "22"]])
    assert text == "name   n\n模型   1\nconv  22\n"


def test_columns_that_must_stay_stay() -> None:
    text = lay_out([Column("a"), Column("b", drop=1)], [["x" * 30, "y"]], width=10)
    assert text == f"a\n{'x' * 30}\n"


def test_a_table_without_rows_is_its_heading() -> None:
    assert lay_out([Column("a"), Column("b")], []) == "a  b\n"
