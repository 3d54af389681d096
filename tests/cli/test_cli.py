from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from made_records import MadeSweep, make_run
from typer.testing import CliRunner, Result

from repro_hydra.cli.app import command_line
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.places import remember_place

LIST_KEYS = {
    "run_id", "dir", "name", "tags", "mode", "status", "upheld", "seed", "started_at", "duration_s", "result",
}  # fmt: skip
SHOW_KEYS = {"dir", "run", "config", "code", "environment", "determinism", "data", "result"}
ROW_KEYS = {
    "config", "metric", "n", "planned", "failed", "missing", "mean", "std", "ci_low", "ci_high", "confidence",
    "coefficient_of_variation", "coefficient_of_variation_corrected", "stable", "within_tolerance", "min",
    "median", "max", "seeds", "notes",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project of its own, and a state folder of its own."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def call(*arguments: object) -> Result:
    result = CliRunner().invoke(command_line(), [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception  # a user's mistake never ends in one
    return result


def document(*arguments: object, status: int = 0) -> Any:
    result = call(*arguments)
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


def refused(status: int, *arguments: object) -> str:
    result = call(*arguments)
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    assert result.stderr
    return result.stderr


class TestList:
    def test_newest_first_with_the_documented_keys(self, tmp_path: Path) -> None:
        for day in (1, 3, 2):
            moment = f"2026-11-0{day}T10:00:00.000000Z"
            make_run(tmp_path / "o" / str(day), created_at=moment, started_at=moment, result={"x": day})
        listed = document("list", tmp_path / "o", "--json")
        assert [item["result"] for item in listed] == [{"x": 3}, {"x": 2}, {"x": 1}]
        assert all(set(item) >= LIST_KEYS for item in listed)
        assert listed[0]["dir"] == str(tmp_path / "o" / "3")
        assert (listed[0]["status"], listed[0]["seed"], listed[0]["tags"]) == ("completed", 0, [])

    def test_without_a_root_every_place_of_the_project(self, tmp_path: Path) -> None:
        project = tmp_path / "project"
        make_run(project / "outputs" / "a")
        make_run(project / "multirun" / "b" / "0")
        make_run(tmp_path / "scratch" / "c")
        remember_place(project, tmp_path / "scratch")
        assert {Path(item["dir"]).name for item in document("list", "--json")} == {"a", "0", "c"}

    def test_jobs_of_a_sweep_are_listed(self, tmp_path: Path) -> None:
        MadeSweep(tmp_path / "m", [0, 1]).run_all([0.1, 0.2])
        assert sorted(item["seed"] for item in document("list", tmp_path / "m", "--json")) == [0, 1]

    def test_a_run_whose_process_is_gone_is_lost(self, tmp_path: Path) -> None:
        make_run(tmp_path / "a", status="running", heartbeat_at="2026-01-01T00:00:00Z")
        assert document("list", tmp_path / "a", "--json")[0]["status"] == "lost"
        assert "lost" in call("list", tmp_path / "a").stdout
        assert "status       lost" in call("show", tmp_path / "a").stdout

    @pytest.mark.parametrize(
        "content", ["", '{"schema": "1.0", "run_id', "[]", '{"schema": "2.0"}', "\x00\xff"]
    )
    def test_a_damaged_record_is_listed_with_its_reason(self, tmp_path: Path, content: str) -> None:
        make_run(tmp_path / "o" / "good")
        RunPaths(make_run(tmp_path / "o" / "bad")).run.write_text(content)
        good, bad = document("list", tmp_path / "o", "--json")
        assert (good["status"], good["problem"]) == ("completed", None)
        assert (bad["status"], bad["dir"], bad["run_id"]) == ("damaged", str(tmp_path / "o" / "bad"), None)
        assert "run.json" in bad["problem"]
        people = call("list", tmp_path / "o")
        assert "damaged" in people.stdout
        assert "run.json" in people.stderr

    def test_a_damaged_result_and_a_damaged_plan_are_told(self, tmp_path: Path) -> None:
        RunPaths(make_run(tmp_path / "o" / "a", result={})).result.write_text("{")
        MadeSweep(tmp_path / "o" / "m", [0])
        (tmp_path / "o" / "m" / ".repro" / "sweep.json").write_text("{")
        run, plan = document("list", tmp_path / "o", "--json")
        assert (run["status"], run["result"]) == ("completed", {})
        assert "result.json" in run["problem"]
        assert "sweep.json" in plan["problem"]

    def test_a_running_run_that_breaks_while_it_is_read_costs_nothing(self, tmp_path: Path) -> None:
        path = RunPaths(make_run(tmp_path / "a", status="running")).run
        path.write_text(path.read_text().replace('"processes": []', '"processes": 3'))
        assert "processes" in document("list", tmp_path / "a", "--json")[0]["problem"]

    def test_sorting(self, tmp_path: Path) -> None:
        for name, seed, loss in (("a", 2, 0.5), ("b", 10, "NaN"), ("c", 1, 0.25), ("d", None, None)):
            make_run(tmp_path / "o" / name, seed=seed, name=name * 2, result={"loss": loss}, duration_s=seed)

        def order(key: str) -> str:
            return "".join(
                Path(item["dir"]).name for item in document("list", tmp_path / "o", "--sort", key, "--json")
            )

        assert order("seed") == "cabd"
        assert order("name") == "abcd"
        assert order("duration_s") == "cabd"
        assert order("loss") == "cabd"  # NaN has no order, and comes before nothing at all
        assert "expected one of" in refused(2, "list", tmp_path / "o", "--sort", "los")

    def test_times_put_the_newest_first_and_the_unstarted_last(self, tmp_path: Path) -> None:
        make_run(tmp_path / "o" / "never", started_at=None, status="failed")
        for hour in ("08", "09"):
            make_run(tmp_path / "o" / hour, started_at=f"2026-11-23T{hour}:00:00Z")
        names = [
            Path(item["dir"]).name
            for item in document("list", tmp_path / "o", "--sort", "started_at", "--json")
        ]
        assert names == ["09", "08", "never"]

    def test_limit(self, tmp_path: Path) -> None:
        for number in range(3):
            make_run(tmp_path / "o" / str(number))
        assert len(document("list", tmp_path / "o", "--limit", 2, "--json")) == 2
        refused(2, "list", tmp_path / "o", "--limit", 0)

    def test_nothing_there_is_said_and_no_failure(self, tmp_path: Path) -> None:
        assert document("list", "--json") == []
        result = call("list")
        assert (result.exit_code, result.stdout) == (0, "")
        assert "+repro=strict" in result.stderr

    def test_a_root_that_is_not_there_is_misuse(self, tmp_path: Path) -> None:
        assert "no such directory" in refused(2, "list", tmp_path / "gone")
        (tmp_path / "file").write_text("")
        assert "found a file" in refused(2, "list", tmp_path / "file")

    def test_piped_paths_are_whole_and_control_characters_are_not(self, tmp_path: Path) -> None:
        directory = tmp_path / ("long-" * 40) / "a"
        make_run(directory, result={"x\x1b[2J": 1.0})
        text = call("list", tmp_path).stdout
        assert str(directory) in text
        assert "\x1b" not in text


class TestShow:
    def test_the_files_as_they_are(self, tmp_path: Path) -> None:
        run = make_run(tmp_path / "a", result={"x": 1.5}, code={"commit": "c" * 40})
        shown = document("show", run, "--json")
        assert set(shown) >= SHOW_KEYS
        assert shown["run"] == json.loads(RunPaths(run).run.read_text())
        assert shown["config"] == json.loads(RunPaths(run).config.read_text())
        assert shown["result"] == {"x": 1.5}
        assert (shown["dir"], shown["data"], shown["environment"]) == (str(run), None, None)

    def test_a_run_by_id_prefix(self, tmp_path: Path) -> None:
        run = make_run(tmp_path / "project" / "outputs" / "a", run_id="abcd" + "0" * 28)
        assert document("show", "abcd", "--json")["dir"] == str(run)

    def test_the_page_holds_what_matters(self, tmp_path: Path) -> None:
        run = make_run(
            tmp_path / "a",
            result={"accuracy": 0.97},
            name="baseline",
            tags=["paper"],
            upheld="no",
            seeds={"python": 0, "torch": 0},
            findings=[{"id": "undeclared-input:x", "severity": "may_change_bits", "message": "read x"}],
            argv=["train.py", "a b"],
            code={"commit": "c" * 40, "branch": "main", "dirty": True, "patch": {"path": "code.patch"}},
        )
        RunPaths(run).determinism.write_text(
            '{"schema": "1.0", "settings": [{"name": "torch.threads", "asked": 1, "entry": 1, "first_step": 1,'
            ' "exit": 2, "in_force": false, "how": "torch.get_num_threads()"}]}'
        )
        page = call("show", run).stdout
        for words in (
            "baseline", "paper", "upheld: no", "undeclared-input:x", "read x", "train.py 'a b'", "c" * 40, "dirty",
            "torch.threads", "1 → 2", "NO", "torch.get_num_threads()", "accuracy", "0.97", "python 0",
        ):  # fmt: skip
            assert words in page, words

    def test_the_manifests_digest_and_the_jobs_files(self, tmp_path: Path) -> None:
        from repro_hydra.record.manifest import write_manifest

        run = make_run(tmp_path / "a", result={})
        (run / "weights.pt").write_text("w")
        digest = write_manifest(RunPaths(run))
        page = call("show", run).stdout
        assert digest in page
        assert "weights.pt" in page

    def test_a_failed_run_shows_its_error(self, tmp_path: Path) -> None:
        assert "ValueError: diverged" in call("show", make_run(tmp_path / "a", error="diverged")).stdout

    @pytest.mark.parametrize("name", ["config", "code", "environment", "determinism", "data", "result"])
    def test_a_damaged_file_costs_its_part_and_is_said(self, tmp_path: Path, name: str) -> None:
        run = make_run(tmp_path / "a", result={"x": 1})
        getattr(RunPaths(run), name).write_text('{"schema": "1.')
        shown = document("show", run, "--json", status=1)
        assert shown[name] is None
        assert shown["run"]["run_id"]
        assert f"{name}.json" in refused(1, "show", run)

    @pytest.mark.parametrize("name", ["code", "environment", "determinism"])
    @pytest.mark.parametrize("value", ["3", '["a"]', '{"a": 1}', '"text"'])
    def test_a_foreign_file_never_ends_in_a_traceback(self, tmp_path: Path, name: str, value: str) -> None:
        run = make_run(tmp_path / "a")
        keys = (
            "settings",
            "cpu",
            "platform",
            "gpus",
            "not_captured",
            "distributions",
            "snapshot_ref",
            "dirty",
        )
        fields = ", ".join(f'"{key}": {value}' for key in keys)
        getattr(RunPaths(run), name).write_text(f'{{"schema": "1.0", {fields}}}')
        assert call("show", run).exit_code == 0

    def test_a_damaged_run_is_refused(self, tmp_path: Path) -> None:
        RunPaths(make_run(tmp_path / "a")).run.write_text('{"schema": "1.0"')
        assert "run.json" in refused(1, "show", tmp_path / "a")
        assert "run.json" in refused(1, "show", tmp_path / "a", "--json")

    def test_what_is_no_run_is_misuse(self, tmp_path: Path) -> None:
        MadeSweep(tmp_path / "m", [0])
        assert "aggregate" in refused(2, "show", tmp_path / "m")
        refused(2, "show", tmp_path)
        refused(2, "show", "no-such-run")
        refused(2, "show", "dead")


class TestAggregate:
    def test_the_documented_keys(self, tmp_path: Path) -> None:
        MadeSweep(tmp_path / "m", [0, 1, 2]).run_all([0.9, 0.91, 0.92])
        (tmp_path / "m" / "2" / ".repro" / "run.json").unlink()
        whole = document("aggregate", tmp_path / "m", "--json")
        assert set(whole) >= {"rows", "left_out"}
        assert set(whole["rows"][0]) >= ROW_KEYS
        assert set(whole["left_out"][0]) >= {"dir", "reason"}
        assert whole == document("aggregate", tmp_path / "m", "--format", "json")

    def test_options_reach_the_aggregate(self, tmp_path: Path) -> None:
        sweep = MadeSweep(tmp_path / "m", [0, 1], variants=[{"lr": 1}, {"lr": 2}])
        for num in range(4):
            sweep.run(num, {"x": num + 1.0, "y": 2.0}, config={"depth": num // 2})
        rows = document(
            "aggregate", tmp_path / "m", "--metric", "x", "--by", "lr", "--confidence", 0.8, "--json"
        )["rows"]
        assert [(row["metric"], row["config"], row["confidence"]) for row in rows] == [
            ("x", {"lr": 1}, 0.8),
            ("x", {"lr": 2}, 0.8),
        ]

    def test_formats(self, tmp_path: Path) -> None:
        MadeSweep(tmp_path / "m", [0, 1]).run_all([0.9, 0.92])
        (row,) = csv.DictReader(io.StringIO(call("aggregate", tmp_path / "m", "--format", "csv").stdout))
        assert float(row["mean"]) == pytest.approx(0.91)
        assert call("aggregate", tmp_path / "m", "--format", "markdown").stdout.startswith(
            "| configuration |"
        )
        assert "2 of 2" in call("aggregate", tmp_path / "m").stdout

    def test_what_json_and_csv_always_tell_and_a_table_where_asked(self, tmp_path: Path) -> None:
        """Trimmed mean, tolerance interval, normality; not of each step of a curve, unless asked."""
        MadeSweep(tmp_path / "m", range(5)).run_all([0.9, 0.92, 0.91, 0.93, 0.5])
        (row,) = document("aggregate", tmp_path / "m", "--json")["rows"]
        assert row["trimmed_mean"] == pytest.approx(0.91)
        assert row["tolerance_low"] < 0.5 < 0.93 < row["tolerance_high"]
        assert row["plainly_not_normal"] is True
        (line,) = csv.DictReader(io.StringIO(call("aggregate", tmp_path / "m", "--format", "csv").stdout))
        assert float(line["trimmed_mean"]) == row["trimmed_mean"]
        assert "trimmed" not in call("aggregate", tmp_path / "m").stdout
        for form in ("table", "markdown"):
            asked = call("aggregate", tmp_path / "m", "--all-columns", "--trim", 0.4, "--format", form).stdout
            assert "trimmed mean" in asked
            assert "plainly not" in asked
        metrics = RunPaths(tmp_path / "m/0").metrics
        metrics.write_text('{"step": 0, "time": "2026-11-23T10:00:00Z", "loss": 0.5}\n')
        (step,) = document("aggregate", tmp_path / "m", "--step", "--json")["rows"]
        assert step["trimmed_mean"] is None
        (step,) = document("aggregate", tmp_path / "m", "--step", "--all-columns", "--json")["rows"]
        assert step["trimmed_mean"] == 0.5

    def test_a_sweep_by_id(self, tmp_path: Path) -> None:
        sweep = MadeSweep(tmp_path / "project" / "multirun" / "m", [0, 1])
        sweep.run_all([0.9, 0.92])
        assert document("aggregate", sweep.sweep_id[:10], "--json")["rows"][0]["n"] == 2

    def test_nothing_to_aggregate(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        assert "nothing to aggregate" in refused(1, "aggregate", tmp_path / "empty")
        assert document("aggregate", tmp_path / "empty", "--json", status=1) == {"rows": [], "left_out": []}
        make_run(tmp_path / "o" / "a")
        assert "no metrics" in refused(1, "aggregate", tmp_path / "o")
        make_run(tmp_path / "o" / "b", result={"x": 1.0})
        assert "logged metrics step by step" in refused(1, "aggregate", tmp_path / "o", "--step")

    def test_only_failures_are_shown_and_no_success(self, tmp_path: Path) -> None:
        MadeSweep(tmp_path / "m", [0]).run(0, error="diverged")
        result = call("aggregate", tmp_path / "m")
        assert result.exit_code == 1
        assert "diverged" in result.output
        assert document("aggregate", tmp_path / "m", "--json", status=1)["rows"][0]["failed"] == 1

    @pytest.mark.parametrize(
        "options",
        [
            ["--confidence", "1"],
            ["--confidence", "0"],
            ["--confidence", "nan"],
            ["--confidence", "high"],
            ["--metric", "z"],
            ["--by", "z"],
            ["--by", "seed"],
            ["--format", "excel"],
            ["--where", "lr"],
            ["--where", "config.no_such_key > 1"],
            ["--where", "__import__('os')"],
            ["--baseline", "no such"],
            ["--worth-finding", "0.1"],
            ["--trim", "0.5"],
            ["--no-such-option"],
        ],
    )
    def test_misuse(self, tmp_path: Path, options: list[str]) -> None:
        MadeSweep(tmp_path / "m", [0, 1]).run_all([0.9, 0.92])
        refused(2, "aggregate", tmp_path / "m", *options)

    def test_a_folder_that_is_not_there_is_misuse(self, tmp_path: Path) -> None:
        refused(2, "aggregate", tmp_path / "gone")
        refused(2, "aggregate")


ENVIRONMENT = {key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR", "NO_COLOR")}


def program(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=60, **options)


class TestProcesses:
    def test_the_module_and_the_script(self, tmp_path: Path) -> None:
        MadeSweep(tmp_path / "m", [0, 1]).run_all([0.9, 0.92])
        script = Path(__file__).parents[2] / "scripts" / "aggregate.py"
        module = program("-m", "repro_hydra", "aggregate", tmp_path / "m", "--json")
        assert (module.returncode, module.stderr) == (0, "")
        assert json.loads(module.stdout)["rows"][0]["n"] == 2
        assert program(script, tmp_path / "m", "--json").stdout == module.stdout
        failed = program(script, tmp_path / "gone")
        assert failed.returncode == 2
        assert "Traceback" not in failed.stderr

    def test_version(self) -> None:
        from repro_hydra import __version__

        done = program("-m", "repro_hydra", "--version")
        assert (done.returncode, done.stdout.split()) == (0, ["repro-hydra", __version__])

    def test_a_reader_that_leaves_early_is_no_error(self, tmp_path: Path) -> None:
        for number in range(300):
            make_run(tmp_path / "o" / f"{number}-{'x' * 200}", result={"x": 1.0})
        for extra in ("", "--json"):
            command = f"'{sys.executable}' -m repro_hydra list '{tmp_path / 'o'}' {extra} | head -c 10"
            done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
            assert done.stderr == ""

    @pytest.mark.skipif(
        not Path("/dev/full").exists(), reason="a disk that is full, where the system has one"
    )
    def test_a_full_disk_and_no_output_at_all_are_no_traceback(self, tmp_path: Path) -> None:
        """``> FILE`` on a full disk is the answer no and a message; ``>&-`` costs nothing but the output."""
        run = make_run(tmp_path / "o" / "a", result={"x": 1.0})
        for where, status, said in (("> /dev/full", 1, "No space left on device"), (">&-", 0, "")):
            for what in (f"list '{tmp_path / 'o'}'", f"show '{run}' --json"):
                command = f"'{sys.executable}' -m repro_hydra {what} {where}"
                done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
                assert (done.returncode, done.stderr.count("\n")) == (status, 1 if said else 0)
                assert done.stderr.endswith(f"{said}\n" if said else "")

    def test_paths_that_are_no_utf8_and_a_terminal_that_is_ascii(self, tmp_path: Path) -> None:
        odd = os.fsdecode(b"caf\xe9")
        make_run(tmp_path / "o" / odd, result={"größe": 1.0})
        for extra in ([], ["--json"]):
            done = subprocess.run(
                [sys.executable, "-m", "repro_hydra", "list", str(tmp_path / "o"), *extra],
                capture_output=True,
                env={**ENVIRONMENT, "PYTHONIOENCODING": "ascii"},
                timeout=60,
            )
            assert done.returncode == 0, done.stderr
            assert b"Traceback" not in done.stderr
        assert os.fsencode(json.loads(done.stdout)[0]["dir"]) == os.fsencode(tmp_path / "o" / odd)


HEAVY = ("torch", "scipy", "numpy", "git", "hydra", "omegaconf", "submitit", "sklearn", "pandas")


def test_looking_at_records_imports_nothing_heavy(tmp_path: Path) -> None:
    run = make_run(tmp_path / "o" / "a", result={"x": 1.0})
    code = (
        "import sys\n"
        "from repro_hydra.cli import main\n"
        "def call(*arguments):\n"
        "    sys.argv = ['repro-hydra', *arguments]\n"
        "    try:\n"
        "        main()\n"
        "    except SystemExit as left:\n"
        "        assert not left.code, left.code\n"
        f"call('list', {str(tmp_path / 'o')!r})\n"
        f"call('show', {str(run)!r})\n"
        f"found = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not found, found\n"
        f"call('aggregate', {str(run)!r})\n"
        "found = [name for name in ('torch', 'hydra', 'git') if name in sys.modules]\n"
        "assert not found, found\n"
    )
    done = program("-c", code)
    assert done.returncode == 0, done.stderr


class TestColumns:
    """`list --columns`, and sorting by whatever is recorded."""

    @pytest.fixture(autouse=True)
    def runs(self, tmp_path: Path) -> None:
        for name, lr, loss in (("a", 0.1, 3), ("b", 0.3, 1), ("c", 0.2, None)):
            make_run(
                tmp_path / "o" / name,
                config={"optimizer": {"lr": lr}},
                result=None if loss is None else {"loss": loss},
                code={"commit": name * 40},
            )

    def test_any_recorded_value_is_a_column(self, tmp_path: Path) -> None:
        columns = "config.optimizer.lr,loss,code.commit,run.host,status"
        listed = document(
            "list", tmp_path / "o", "--columns", columns, "--sort", "config.optimizer.lr", "--json"
        )
        assert [item["values"]["config.optimizer.lr"] for item in listed] == [0.1, 0.2, 0.3]
        assert [item["values"]["loss"] for item in listed] == [3, None, 1]
        assert listed[0]["values"]["code.commit"] == "a" * 40
        assert listed[0]["values"]["run.host"] == "elsewhere"
        assert set(listed[0]) >= LIST_KEYS
        table = call("list", tmp_path / "o", "--columns", columns).stdout.splitlines()
        assert table[0].split() == ["run", *columns.split(","), "directory"]
        assert len(table) == 4

    def test_the_other_way_round(self, tmp_path: Path) -> None:
        """What has no value stays last in both directions."""
        for options, expected in (([], "bac"), (["--reverse"], "abc")):
            listed = document("list", tmp_path / "o", "--sort", "loss", *options, "--json")
            assert "".join(Path(item["dir"]).name for item in listed) == expected
        listed = document("list", tmp_path / "o", "--sort", "code.commit", "--reverse", "--json")
        assert "".join(Path(item["dir"]).name for item in listed) == "cba"

    def test_selection_by_a_file_of_the_record(self, tmp_path: Path) -> None:
        where = f"code.commit=='{'b' * 40}' and run.host=='elsewhere'"
        (item,) = document("list", tmp_path / "o", "--where", where, "--json")
        assert Path(item["dir"]).name == "b"
        assert "none of the 3 runs has code.nothing" in refused(
            2, "list", tmp_path / "o", "--where", "code.nothing==1"
        )

    def test_misuse(self, tmp_path: Path) -> None:
        assert "none of the 3 runs has config.nothing" in refused(
            2, "list", tmp_path / "o", "--columns", "config.nothing"
        )
        assert "expected one of" in refused(2, "list", tmp_path / "o", "--sort", "config.nothing")
