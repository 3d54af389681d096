"""Comparisons with a baseline, curves, selection, strictness, and what LaTeX gets."""

from __future__ import annotations

import doctest
import json
import math
from pathlib import Path

import pytest
from made_records import MadeSweep, make_run

import repro_hydra.sweep.wording
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.where import WhereError, parse_where
from repro_hydra.sweep.aggregate import aggregate
from repro_hydra.sweep.comparisons import UnknownBaseline
from repro_hydra.sweep.latex import escape, to_latex
from repro_hydra.sweep.measuring import NotRepeats, UnknownMetric
from repro_hydra.sweep.render import aggregate_text, to_csv, to_markdown
from repro_hydra.sweep.wording import last_decimal, plus_minus, rounded_to

# Student's sleep data (Biometrika 6, 1908), also R's `sleep`: extra hours of sleep under two drugs, ten patients.
DRUG_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
DRUG_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def sleep(top: Path, *, shared: bool = True) -> Path:
    for drug, values in enumerate((DRUG_1, DRUG_2), start=1):
        for patient, value in enumerate(values):
            seed = patient if shared else patient + 100 * drug
            make_run(
                top / f"{drug}-{patient}",
                seed=seed,
                result={"extra": value},
                config={"drug": drug},
                name=f"drug{drug}",
            )
    return top


def test_paired_by_seed_as_in_r(tmp_path: Path) -> None:
    """R: t.test(extra ~ group, paired = TRUE): t = -4.0621, p = 0.002833, interval -2.4598858 to -0.7001142."""
    found = aggregate([sleep(tmp_path)], baseline="drug=2")
    assert found.comparisons is not None
    (one,) = found.comparisons
    assert (one.method, one.n, one.n_baseline, one.decided, one.compared) == ("paired t", 10, 10, True, 1)
    assert one.p_value == one.p_value_holm == pytest.approx(0.002832890, abs=1e-9)
    assert (one.ci_low, one.ci_high) == (pytest.approx(-2.4598858), pytest.approx(-0.7001142))
    assert one.sentence == (
        "extra: drug=1 is lower than drug=2 by 1.58 (95 % interval 0.70 to 2.46, paired over 10 seeds, p = 0.0028)"
    )


def test_welch_where_no_seed_is_shared(tmp_path: Path) -> None:
    """R: t.test(extra ~ group): t = -1.8608, df = 17.776, p-value = 0.07939."""
    found = aggregate([sleep(tmp_path, shared=False)], baseline="2", worth_finding=1.0)
    assert found.comparisons is not None
    (one,) = found.comparisons
    assert (one.method, one.decided, one.worth_finding) == ("Welch t", False, 1.0)
    assert one.p_value == pytest.approx(0.0793941, abs=1e-7)
    # R: power.t.test(delta = 1, sd = 2.002249, power = 0.8) gives n = 63.9 a group: 64, of which 10 are there.
    assert one.more_seeds == 54
    assert "undecided" in one.sentence
    assert "about 54 more seeds of each would tell a difference of 1" in one.sentence


@pytest.mark.parametrize("name", ["drug=1", "1", "drug1"])
def test_a_baseline_by_key_value_or_name(tmp_path: Path, name: str) -> None:
    """The table's words, a value, and the name that its runs share all do."""
    found = aggregate([sleep(tmp_path)], baseline=name)
    assert found.comparisons is not None
    assert [item.baseline for item in found.comparisons] == [{"drug": 1}]


def test_a_baseline_that_is_none_or_several(tmp_path: Path) -> None:
    """The message lists what there is."""
    sweep = MadeSweep(tmp_path, [0, 1], variants=[{"a": 1, "b": 1}, {"a": 1, "b": 2}])
    sweep.run_all([1.0, 2.0, 3.0, 4.0])
    with pytest.raises(UnknownBaseline, match="no configuration fits"):
        aggregate([tmp_path], baseline="a=2")
    MadeSweep(tmp_path / "more", [0], variants=[{"a": 2, "b": 1}]).run_all([1.0])
    with pytest.raises(UnknownBaseline, match=r"2 configurations fit\. Expected one of: a=1 b=1; a=1 b=2"):
        aggregate([tmp_path], baseline="a=1")


def test_holm_over_all_comparisons(tmp_path: Path) -> None:
    """Holm's own arithmetic: of two comparisons the smaller p doubles, and the larger follows."""
    sweep = MadeSweep(tmp_path, range(5), variants=[{"m": "a"}, {"m": "b"}, {"m": "c"}])
    base = [0.1, 0.3, 0.2, 0.5, 0.4]
    shifts = [[0.0] * 5, [0.3, 0.32, 0.31, 0.29, 0.33], [0.05, -0.02, 0.04, 0.06, -0.03]]
    sweep.run_all([x + d for shift in shifts for x, d in zip(base, shift, strict=True)])
    found = aggregate([tmp_path], baseline="a").comparisons
    assert found is not None
    first, second = found
    assert first.p_value is not None
    assert second.p_value is not None
    assert first.p_value_holm == pytest.approx(2 * first.p_value)
    assert second.p_value_holm == pytest.approx(max(2 * first.p_value, second.p_value))
    assert (first.decided, second.decided) == (True, False)
    assert "after Holm over 2" in first.sentence


def test_a_seed_run_twice_is_compared_once(tmp_path: Path) -> None:
    """The comparison says what it left out."""
    sleep(tmp_path)
    make_run(tmp_path / "again", seed=0, result={"extra": 9.0}, config={"drug": 1}, name="drug1")
    found = aggregate([tmp_path], baseline="drug=2")
    assert found.comparisons is not None
    assert found.comparisons[0].n == 10
    assert any("already left out" in note for note in found.comparisons[0].notes)


def test_one_seed_each_cannot_be_compared(tmp_path: Path) -> None:
    """A reason, never a number."""
    MadeSweep(tmp_path, [0], variants=[{"m": "a"}, {"m": "b"}]).run_all([1.0, 2.0])
    found = aggregate([tmp_path], baseline="a").comparisons
    assert found is not None
    assert found[0].p_value is None
    assert "cannot be compared" in found[0].sentence


# ---------------------------------------------------------------------- selection and strictness


def test_where_keeps_plan_and_counts(tmp_path: Path) -> None:
    """Of a configuration that is kept the missing seeds still show; of others nothing is missed."""
    sweep = MadeSweep(tmp_path, [0, 1, 2], variants=[{"lr": 0.1}, {"lr": 0.01}])
    for num in (0, 1, 3):
        sweep.run(num, {"x": float(num)})
    found = aggregate([tmp_path], where=parse_where("config.lr == 0.1"))
    (row,) = found.rows
    assert (row.n, row.planned, row.missing) == (2, 3, 1)
    assert found.selection is not None
    assert found.selection.not_selected == 1
    assert found.selection.notes == []


def test_a_selection_by_outcome_is_said(tmp_path: Path) -> None:
    """Who keeps the good seeds only is told what that means."""
    MadeSweep(tmp_path, [0, 1, 2]).run_all([0.1, 0.9, 0.8])
    found = aggregate([tmp_path], where=parse_where("result.accuracy > 0.5"))
    assert found.rows[0].n == 2
    assert "no fair sample" in aggregate_text(found)
    assert "not selected by --where: 1" in aggregate_text(found)
    with pytest.raises(WhereError, match=r"none of the 3 runs has result\.acc$"):
        aggregate([tmp_path], where=parse_where("result.acc > 0.5"))


@pytest.mark.parametrize(
    ("one", "other", "word"),
    [
        ({"code": {"tree": "1" * 40}}, {"code": {"tree": "2" * 40}}, "code"),
        ({"packages": "e" * 64}, {"packages": "f" * 64}, "installed packages"),
    ],
)
def test_strict_refuses_what_is_no_repeat(tmp_path: Path, one: dict, other: dict, word: str) -> None:  # type: ignore[type-arg]
    """A warning without, a refusal with."""
    make_run(tmp_path / "a", seed=0, result={"x": 1.0}, **one)
    make_run(tmp_path / "b", seed=1, result={"x": 1.1}, **other)
    assert any(f"differ in {word}" in note for note in aggregate([tmp_path]).rows[0].notes)
    with pytest.raises(NotRepeats, match=f"differ in {word}"):
        aggregate([tmp_path], strict=True)


def test_runs_on_other_data_are_no_repeats(tmp_path: Path) -> None:
    """The digests of the declared datasets are compared."""
    for seed, digest in enumerate(["blake3:" + "a" * 64, "blake3:" + "b" * 64]):
        run = make_run(tmp_path / str(seed), seed=seed, result={"x": 1.0 + seed})
        RunPaths(run).data.write_text(
            json.dumps({"schema": "1.0", "datasets": [{"name": "digits", "digest": digest}]})
        )
    note = next(note for note in aggregate([tmp_path]).rows[0].notes if "differ in data" in note)
    assert "digits aaaaaaaaaa" in note
    with pytest.raises(NotRepeats):
        aggregate([tmp_path], strict=True)


def test_upheld_only(tmp_path: Path) -> None:
    """Runs that were not upheld are left out on request, with the reason."""
    for seed, upheld in enumerate(["yes", "no", "waived", "not_promised"]):
        make_run(tmp_path / str(seed), seed=seed, result={"x": float(seed)}, upheld=upheld)
    found = aggregate([tmp_path], upheld_only=True)
    assert found.rows[0].seeds == [0, 2]
    assert [item.reason for item in found.left_out] == [
        "not upheld (upheld: no)",
        "not upheld (upheld: not_promised)",
    ]


# ---------------------------------------------------------------------- curves


def logging(run: Path, values: dict[int, float]) -> None:
    lines = [json.dumps({"step": step, "time": "x", "loss": value}) for step, value in values.items()]
    RunPaths(run).metrics.write_text("\n".join(lines) + "\n")


def test_a_curve_has_an_interval_at_each_step(tmp_path: Path) -> None:
    """Each step is a row, with the seeds that logged it."""
    sweep = MadeSweep(tmp_path, [0, 1, 2])
    for num, values in enumerate([{0: 1.0, 1: 0.5}, {0: 2.0, 1: 0.7}, {0: 3.0}]):
        logging(sweep.run(num, {"x": 1.0}), values)
    first, second = aggregate([tmp_path], steps=True).rows
    assert (first.step, first.metric, first.n, first.mean) == (0, "loss", 3, 2.0)
    assert first.ci_high == pytest.approx(2.0 + 4.302652729911275 / math.sqrt(3))
    assert (second.step, second.n, second.mean) == (1, 2, pytest.approx(0.6))
    assert "1 of 3 runs that log loss have no such step" in second.notes
    with pytest.raises(UnknownMetric, match="expected one of loss"):
        aggregate([tmp_path], steps=True, metrics=["x"])


def test_a_step_logged_again_counts_once_and_a_torn_line_is_told(tmp_path: Path) -> None:
    """A resumed run repeats steps; a killed one may leave half a line."""
    run = make_run(tmp_path / "a", result={"x": 1.0})
    RunPaths(run).metrics.write_text(
        '{"step":0,"loss":5.0}\n{"step":0,"loss":1.0}\n{"step":1,"loss":"NaN"}\n[1]\n{"step":2,"lo'
    )
    rows = aggregate([tmp_path], steps=True).rows
    assert [(row.step, row.mean) for row in rows] == [(0, 1.0), (1, None)]
    assert sum("metrics.jsonl:" in note for note in rows[0].notes) == 2


# ---------------------------------------------------------------------- LaTeX, rounding, values


@pytest.mark.parametrize(
    ("value", "uncertainty", "text"),
    [
        (0.973021, 0.00521, "0.9730"),
        (0.5, 0.00996, "0.500"),  # 0.010: the second digit moves
        (0.5, 0.00994, "0.5000"),
        (1234.5678, 12.3, "1235"),
        (1234.5678, 123.0, "1230"),
        (-0.0123, 0.0045, "-0.0123"),
        (2.5, 26.0, "2"),  # half to even
        (1e-9, 2.3e-10, "1.00e-9"),
        (0.1, 0.0, "0.1"),
        (0.0, 0.1, "0.00"),
    ],
)
def test_rounded_to_the_uncertainty(value: float, uncertainty: float, text: str) -> None:
    """Two digits of the uncertainty, and the value to the same digit (GUM 7.2.6)."""
    assert rounded_to(value, uncertainty) == text


def test_rounding_examples() -> None:
    """Those in the docstrings run."""
    assert doctest.testmod(repro_hydra.sweep.wording).failed == 0
    assert last_decimal(math.nan) is None
    assert plus_minus(0.97302, 0.00521) == "0.9730 ± 0.0052"


def test_latex_has_the_rules_and_escapes(tmp_path: Path) -> None:
    """booktabs' rules, mean ± half-width rounded alike, nothing that LaTeX would act on."""
    sweep = MadeSweep(tmp_path, [0, 1, 2], variants=[{"model_name": "a&b\\c"}, {"model_name": "plain"}])
    sweep.run_all([0.9611, 0.9722, 0.9702, 0.912, 0.934, 0.92], metric="test_accuracy")
    text = to_latex(aggregate([tmp_path]))
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert rule in text
    assert r"a\&b\textbackslash{}c & test\_accuracy & 3 of 3 & $0.968 \pm 0.015$" in text
    assert escape("50 % #1 $x^2$ {~}") == (r"50 \% \#1 \$x\textasciicircum{}2\$ \{\textasciitilde{}\}")


def test_values_stand_in_json_and_not_in_csv(tmp_path: Path) -> None:
    """Each seed's value is there for whoever wants to check."""
    MadeSweep(tmp_path, [0, 1]).run_all([0.9, 0.8])
    found = aggregate([tmp_path])
    assert found.to_json()["rows"][0]["values"] == [0.9, 0.8]
    assert "comparisons" not in found.to_json()
    assert "values" not in to_csv(found).splitlines()[0].split(",")
    assert "| step |" not in to_markdown(found)
