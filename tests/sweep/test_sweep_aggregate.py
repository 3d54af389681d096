from __future__ import annotations

import math
import shutil
from datetime import datetime, timezone
from pathlib import Path

import pytest
from made_records import MOMENT, MadeSweep, make_run

from repro_hydra.record.paths import RunPaths
from repro_hydra.stats import tolerance_interval, trimmed_mean
from repro_hydra.sweep.aggregate import Aggregate, AggregateRow, aggregate
from repro_hydra.sweep.group import UnknownKey
from repro_hydra.sweep.measuring import UnknownMetric

VALUES = [0.91, 0.95, 0.93]


def only(result: Aggregate) -> AggregateRow:
    assert len(result.rows) == 1, result.rows
    return result.rows[0]


def reasons(result: Aggregate) -> dict[str, str]:
    return {Path(item.dir).name: item.reason for item in result.left_out}


def says(row: AggregateRow, *words: str) -> bool:
    return any(all(word in note for word in words) for note in row.notes)


def test_a_seed_sweep_is_one_row(tmp_path: Path) -> None:
    MadeSweep(tmp_path, [0, 1, 2]).run_all(VALUES)
    row = only(aggregate([tmp_path]))
    assert (row.config, row.metric, row.n, row.planned, row.failed, row.missing) == (
        {},
        "accuracy",
        3,
        3,
        0,
        0,
    )
    assert row.mean == pytest.approx(0.93)
    assert row.std == pytest.approx(0.02)  # divisor n - 1
    half = 4.302652729911275 * 0.02 / math.sqrt(3)  # t quantile 0.975 at 2 degrees of freedom, from any table
    assert (row.ci_low, row.ci_high) == (pytest.approx(0.93 - half), pytest.approx(0.93 + half))
    assert row.coefficient_of_variation == pytest.approx(0.02 / 0.93)
    assert (row.min, row.median, row.max) == (0.91, 0.93, 0.95)
    assert (row.seeds, row.stable, row.within_tolerance) == ([0, 1, 2], True, False)


def test_configurations_are_rows_and_show_what_differs(tmp_path: Path) -> None:
    sweep = MadeSweep(tmp_path, [0, 1], variants=[{"lr": 0.1}, {"lr": 0.01}])
    for num in range(4):
        sweep.run(num, {"accuracy": 0.9 + num / 100}, config={"epochs": 8})
    rows = aggregate([tmp_path]).rows
    assert [row.config for row in rows] == [{"lr": 0.01}, {"lr": 0.1}]
    assert [row.n for row in rows] == [2, 2]
    assert [row.planned for row in rows] == [2, 2]


def test_failed_runs_are_counted_and_named_and_never_averaged(tmp_path: Path) -> None:
    sweep = MadeSweep(tmp_path, [0, 1, 2])
    sweep.run(0, {"accuracy": 0.9})
    sweep.run(1, {"accuracy": 0.0}, error="loss is NaN")
    sweep.run(2, {"accuracy": 0.8})
    # Were it to leave a result all the same, the result would not count.
    (RunPaths(tmp_path / "1").result).write_text('{"accuracy": 0.0}')
    result = aggregate([tmp_path])
    row = only(result)
    assert (row.n, row.failed, row.missing, row.seeds) == (2, 1, 0, [0, 2])
    assert row.mean == pytest.approx(0.85)
    assert reasons(result) == {"1": "failed: ValueError: loss is NaN"}


@pytest.mark.parametrize("status", ["failed", "interrupted", "preempted"])
def test_every_bad_end_counts_as_failed(tmp_path: Path, status: str) -> None:
    sweep = MadeSweep(tmp_path, [0, 1])
    sweep.run(0, {"accuracy": 0.9})
    sweep.run(1, status=status)
    result = aggregate([tmp_path])
    assert only(result).failed == 1
    assert reasons(result)["1"] == status


def test_a_lost_run_is_failed_and_a_running_one_unfinished(tmp_path: Path) -> None:
    sweep = MadeSweep(tmp_path, [0, 1, 2])
    sweep.run(0, {"accuracy": 0.9})
    sweep.run(1, status="running", heartbeat_at=MOMENT)
    sweep.run(2, status="running", heartbeat_at="2026-11-23T11:00:00Z")
    result = aggregate([tmp_path], now=datetime(2026, 11, 23, 11, 0, 5, tzinfo=timezone.utc), host="here")
    row = only(result)
    assert (row.n, row.failed, row.missing) == (1, 1, 0)
    assert reasons(result) == {"1": "lost", "2": "unfinished (running)"}


def test_a_bad_seed_that_was_deleted_is_missed(tmp_path: Path) -> None:
    MadeSweep(tmp_path, [0, 1, 2, 3]).run_all([0.9, 0.91, 0.1, 0.92])
    shutil.rmtree(tmp_path / "2")
    row = only(aggregate([tmp_path]))
    assert (row.n, row.planned, row.missing, row.failed) == (3, 4, 1, 0)
    assert says(row, "gone", "seed 2")


def test_a_deleted_record_is_missed_though_its_directory_is_there(tmp_path: Path) -> None:
    MadeSweep(tmp_path, [0, 1]).run_all([0.9, 0.1])
    shutil.rmtree(tmp_path / "1" / ".repro")
    assert only(aggregate([tmp_path])).missing == 1


def test_seeds_that_never_ran_are_missing(tmp_path: Path) -> None:
    sweep = MadeSweep(tmp_path, [0, 1, 2])
    sweep.run(0, {"accuracy": 0.9})
    row = only(aggregate([tmp_path]))
    assert (row.n, row.missing) == (1, 2)
    assert says(row, "planned", "seed 1, seed 2")


def test_a_job_that_failed_without_a_record_is_failed(tmp_path: Path) -> None:
    sweep = MadeSweep(tmp_path, [0, 1])
    sweep.run(0, {"accuracy": 0.9})
    sweep.mark(1, "failed")
    result = aggregate([tmp_path])
    row = only(result)
    assert (row.failed, row.missing) == (1, 0)
    assert "left no record" in reasons(result)["1"]


def test_a_configuration_that_only_failed_has_a_row(tmp_path: Path) -> None:
    sweep = MadeSweep(tmp_path, [0, 1], variants=[{"lr": 0.1}, {"lr": 9}])
    sweep.run(0, {"accuracy": 0.9})
    sweep.run(1, {"accuracy": 0.8})
    sweep.run(2, error="diverged")
    sweep.run(3, error="diverged")
    good, bad = aggregate([tmp_path]).rows
    assert (good.config, good.n) == ({"lr": 0.1}, 2)
    assert (bad.config, bad.metric, bad.n, bad.failed, bad.planned) == ({"lr": 9}, "accuracy", 0, 2, 2)
    assert (bad.mean, bad.ci_low, bad.min) == (None, None, None)
    assert bad.notes


def test_a_configuration_that_never_ran_shows_its_overrides(tmp_path: Path) -> None:
    sweep = MadeSweep(tmp_path, [0, 1], variants=[{"model": "conv"}, {"model": "mlp"}])
    sweep.run(0, {"accuracy": 0.9})
    sweep.run(1, {"accuracy": 0.8})
    rows = aggregate([tmp_path]).rows
    absent = next(row for row in rows if row.n == 0)
    assert (absent.config, absent.planned, absent.missing) == ({"model": "mlp"}, 2, 2)
    assert says(absent, "overrides are shown")


def test_a_failed_run_without_config_joins_its_siblings(tmp_path: Path) -> None:
    sweep = MadeSweep(tmp_path, [0, 1], variants=[{"lr": 0.1}, {"lr": 0.2}])
    for num in (0, 2, 3):
        sweep.run(num, {"accuracy": 0.9})
    sweep.run(1, error="no config")
    RunPaths(tmp_path / "1").config.unlink()
    rows = aggregate([tmp_path]).rows
    assert [(row.config["lr"], row.n, row.failed) for row in rows] == [(0.1, 1, 1), (0.2, 2, 0)]


def test_all_failed_and_no_metric_known(tmp_path: Path) -> None:
    sweep = MadeSweep(tmp_path, [0, 1])
    sweep.run(0, error="a")
    sweep.run(1, error="b")
    result = aggregate([tmp_path])
    row = only(result)
    assert result.is_empty
    assert (row.metric, row.n, row.failed) == (None, 0, 2)


def test_single_runs_have_no_plan(tmp_path: Path) -> None:
    for seed in range(3):
        make_run(tmp_path / str(seed), seed=seed, result={"accuracy": 0.9 + seed / 100})
    row = only(aggregate([tmp_path]))
    assert (row.n, row.planned, row.missing, row.failed) == (3, None, None, 0)


def test_one_seed_has_no_interval_and_says_why(tmp_path: Path) -> None:
    make_run(tmp_path / "a", result={"accuracy": 0.9})
    row = only(aggregate([tmp_path]))
    assert (row.mean, row.std, row.ci_low, row.coefficient_of_variation) == (0.9, None, None, None)
    assert row.notes


def test_nan_is_undefined_and_said(tmp_path: Path) -> None:
    make_run(tmp_path / "a", seed=0, result={"loss": "NaN"})
    make_run(tmp_path / "b", seed=1, result={"loss": 0.5})
    row = only(aggregate([tmp_path]))
    assert (row.n, row.mean, row.ci_low) == (2, None, None)
    assert row.notes


def test_a_mean_near_zero_has_no_coefficient_and_says_why(tmp_path: Path) -> None:
    for seed, value in enumerate([-1.0, 1.0, 0.01]):
        make_run(tmp_path / str(seed), seed=seed, result={"gain": value})
    row = only(aggregate([tmp_path]))
    assert row.coefficient_of_variation is None
    assert row.stable is None
    assert says(row, "no coefficient of variation")


def test_runs_without_metrics_are_left_out(tmp_path: Path) -> None:
    make_run(tmp_path / "a", result={"note": "fine", "ok": True})
    make_run(tmp_path / "b")
    result = aggregate([tmp_path])
    assert result.rows == []
    assert reasons(result)["a"] == "no metrics"
    assert reasons(result)["b"].startswith("no metrics")


def test_an_empty_folder_gives_nothing(tmp_path: Path) -> None:
    result = aggregate([tmp_path])
    assert result == Aggregate()
    assert result.is_empty


@pytest.mark.parametrize("content", ['{"accuracy": 0.', "[1, 2]", "\xff\xfe", '{"schema": "9.0", "a": 1}'])
def test_a_damaged_result_is_left_out_with_its_reason(tmp_path: Path, content: str) -> None:
    make_run(tmp_path / "a", seed=0, result={"accuracy": 0.9})
    RunPaths(make_run(tmp_path / "b", seed=1, result={})).result.write_text(content)
    result = aggregate([tmp_path])
    assert only(result).n == 1
    assert "result.json" in reasons(result)["b"]


def test_a_damaged_run_is_left_out_and_not_missing(tmp_path: Path) -> None:
    sweep = MadeSweep(tmp_path, [0, 1])
    sweep.run_all([0.9, 0.8])
    RunPaths(tmp_path / "1").run.write_text('{"schema": "1.0", "run_')
    result = aggregate([tmp_path])
    row = only(result)
    assert (row.n, row.missing) == (1, 0)
    assert "run.json" in reasons(result)["1"]


def test_what_follows_from_the_seed_makes_no_configuration(tmp_path: Path) -> None:
    for seed in range(3):
        make_run(
            tmp_path / str(seed),
            seed=seed,
            result={"accuracy": 0.9},
            config={"name": f"run{seed}", "out": f"x/run{seed}", "at": f"10:0{seed}"},
            unresolved={"seed": seed, "name": "run${seed}", "out": "x/${name}", "at": "${now:%H:%M}"},
        )
    assert only(aggregate([tmp_path])).n == 3


def test_another_seed_key_is_honoured(tmp_path: Path) -> None:
    for seed in range(2):
        make_run(
            tmp_path / str(seed), seed=seed, seed_key="rng", result={"accuracy": 0.9}, config={"seed": 7}
        )
    assert only(aggregate([tmp_path])).seeds == [0, 1]


def test_by_pools_and_says_what_it_pooled(tmp_path: Path) -> None:
    sweep = MadeSweep(tmp_path, [0, 1], variants=[{"lr": 0.1, "dropout": 0.0}, {"lr": 0.1, "dropout": 0.5}])
    sweep.run_all([0.9, 0.91, 0.8, 0.81])
    row = only(aggregate([tmp_path], by=["lr"]))
    assert (row.config, row.n) == ({"lr": 0.1}, 4)
    assert says(row, "dropout", "no repeats")
    assert len(aggregate([tmp_path], by=["lr", "dropout"]).rows) == 2


def test_by_refuses_a_key_that_is_not_there_and_the_seed(tmp_path: Path) -> None:
    MadeSweep(tmp_path, [0, 1]).run_all([0.9, 0.8])
    with pytest.raises(UnknownKey, match="learning_rate"):
        aggregate([tmp_path], by=["learning_rate"])
    with pytest.raises(UnknownKey, match="repeats"):
        aggregate([tmp_path], by=["seed"])


def test_metrics_are_chosen_and_the_primary_one_comes_first(tmp_path: Path) -> None:
    for seed in range(2):
        make_run(
            tmp_path / str(seed),
            seed=seed,
            result={"loss": 0.1, "time": 3, "accuracy": 0.9},
            primary_metric="accuracy",
        )
    assert [row.metric for row in aggregate([tmp_path]).rows] == ["accuracy", "loss", "time"]
    assert [row.metric for row in aggregate([tmp_path], metrics=["time", "loss"]).rows] == ["time", "loss"]
    with pytest.raises(UnknownMetric, match="expected one of loss, time, accuracy"):
        aggregate([tmp_path], metrics=["acuracy"])


def test_a_metric_that_one_run_lacks_is_said(tmp_path: Path) -> None:
    make_run(tmp_path / "a", seed=0, result={"accuracy": 0.9, "loss": 0.1})
    make_run(tmp_path / "b", seed=1, result={"accuracy": 0.8})
    accuracy, loss = aggregate([tmp_path]).rows
    assert (accuracy.n, loss.n) == (2, 1)
    assert says(loss, "1 completed run has no loss")


def test_notes_on_what_is_no_repeat(tmp_path: Path) -> None:
    make_run(tmp_path / "a", seed=0, result={"x": 1.0}, code={"tree": "1" * 40}, packages="e" * 64)
    make_run(tmp_path / "b", seed=1, result={"x": 1.1}, code={"tree": "2" * 40}, packages="e" * 64)
    make_run(
        tmp_path / "c", seed=1, result={"x": 1.2}, code={"tree": "2" * 40}, packages="f" * 64, upheld="no"
    )
    make_run(tmp_path / "d", seed=2, result={"x": 1.3}, code={"tree": "2" * 40}, upheld="waived")
    row = only(aggregate([tmp_path]))
    assert says(row, "differ in code", "1111111111", "2222222222")
    assert says(row, "differ in installed packages")
    assert says(row, "more than once", "1")
    assert says(row, "1 of 4 runs not upheld", "seed 1")
    assert says(row, "1 of 4 runs upheld by waiver", "seed 2")


def test_equal_files_in_two_commits_are_one_code(tmp_path: Path) -> None:
    make_run(tmp_path / "a", seed=0, result={"x": 1.0}, code={"tree": "1" * 40, "commit": "a" * 40})
    make_run(tmp_path / "b", seed=1, result={"x": 1.1}, code={"tree": "1" * 40, "commit": "b" * 40})
    assert not says(only(aggregate([tmp_path])), "code")


def test_a_job_that_was_run_again_is_not_failed(tmp_path: Path) -> None:
    sweep = MadeSweep(tmp_path, [0, 1])
    sweep.run(0, {"accuracy": 0.9})
    sweep.run(1, error="out of memory")
    sweep.run(1, {"accuracy": 0.8}, into="1_again")
    result = aggregate([tmp_path])
    row = only(result)
    assert (row.n, row.planned, row.failed, row.missing) == (2, 2, 0, 0)
    assert "run again since" in reasons(result)["1"]


def test_two_sweeps_add_up(tmp_path: Path) -> None:
    MadeSweep(tmp_path / "first", [0, 1]).run_all([0.9, 0.8])
    MadeSweep(tmp_path / "second", [2, 3]).run_all([0.7, 0.6])
    row = only(aggregate([tmp_path]))
    assert (row.n, row.planned, row.seeds) == (4, 4, [0, 1, 2, 3])


def test_naming_a_folder_twice_counts_its_runs_once(tmp_path: Path) -> None:
    MadeSweep(tmp_path / "sweep", [0, 1]).run_all([0.9, 0.8])
    assert only(aggregate([tmp_path, tmp_path / "sweep", tmp_path / "sweep" / "0"])).n == 2


def test_a_copied_sweep_adds_nothing(tmp_path: Path) -> None:
    MadeSweep(tmp_path / "sweep", [0, 1]).run_all([0.9, 0.8])
    shutil.copytree(tmp_path / "sweep", tmp_path / "backup")
    result = aggregate([tmp_path])
    row = only(result)
    assert (row.n, row.planned, row.missing) == (2, 2, 0)
    assert [item.reason.startswith("a copy of the run in") for item in result.left_out] == [True, True]


def test_a_run_of_no_sweep_beside_a_sweep_is_said(tmp_path: Path) -> None:
    MadeSweep(tmp_path / "sweep", [0, 1]).run_all([0.9, 0.8])
    make_run(tmp_path / "alone", seed=7, result={"accuracy": 0.7})
    row = only(aggregate([tmp_path]))
    assert (row.n, row.planned) == (3, 2)
    assert says(row, "1 run beside the planned ones")


def test_true_and_one_are_two_configurations(tmp_path: Path) -> None:
    for number, value in enumerate([True, 1, 1.0]):
        make_run(tmp_path / str(number), seed=number, result={"x": 1.0}, config={"flag": value})
    assert len(aggregate([tmp_path]).rows) == 3


@pytest.mark.parametrize(
    ("offset", "world", "words"),
    [
        (True, 2, ("not independent", "seed.rank_offset")),
        (True, 1, ("only if each run had one rank",)),
        (False, 2, ()),
    ],
)
def test_seed_plus_rank_is_told(tmp_path: Path, offset: bool, world: int, words: tuple[str, ...]) -> None:
    """Rank 1 of one seed draws what rank 0 of the next draws, so such runs are no independent repeats."""
    sweep = MadeSweep(tmp_path, [0, 1, 2])
    for num in range(3):
        sweep.run(num, {"accuracy": 0.9 + num / 100}, rank_offset=offset, world_size=world)
    row = only(aggregate([tmp_path]))
    assert says(row, "rank") == bool(words)
    assert all(says(row, word) for word in words)


WILD = [0.91, 0.92, 0.90, 0.93, 0.91, 0.92, 0.10]


def test_what_a_row_tells_besides_where_asked(tmp_path: Path) -> None:
    """Trimmed mean, tolerance interval, normality: the numbers of `stats`, and where undefined the reason."""
    MadeSweep(tmp_path / "wild", range(7)).run_all(WILD)
    plain = only(aggregate([tmp_path / "wild"]))
    assert (plain.trimmed_mean, plain.tolerance_low, plain.plainly_not_normal) == (None, None, None)
    row = only(aggregate([tmp_path / "wild"], trim=0.2))
    assert row.trimmed_mean == trimmed_mean(WILD, proportion=0.2).value
    assert row.mean is not None
    assert row.mean < 0.8 < 0.9 < (row.trimmed_mean or 0)
    found = tolerance_interval(WILD, coverage=0.95, confidence=0.95)
    assert (row.tolerance_low, row.tolerance_high) == (found.low, found.high)
    assert (row.trimmed_share, row.tolerance_coverage, row.plainly_not_normal) == (0.2, 0.95, True)
    assert says(row, "plainly not normal", "Shapiro-Wilk")
    assert not says(plain, "normal")
    assert only(aggregate([tmp_path / "wild"], trim=0.0)).trimmed_mean == pytest.approx(row.mean)

    MadeSweep(tmp_path / "two", range(2)).run_all(VALUES[:2])
    two = only(aggregate([tmp_path / "two"], trim=0.2))
    assert (two.plainly_not_normal, two.normality_p_value, two.prediction_low) == (None, None, None)
    assert says(two, "normality: not tested: 2 values")
    assert says(two, "prediction interval: 2 values")
    MadeSweep(tmp_path / "nan", range(3)).run_all([0.9, "NaN", 0.8])
    undefined = only(aggregate([tmp_path / "nan"], trim=0.2))
    assert (undefined.trimmed_mean, undefined.tolerance_low, undefined.plainly_not_normal) == (
        None,
        None,
        None,
    )
    assert [note for note in undefined.notes if "NaN" in note] == [undefined.notes[0]]  # once is enough
