"""What scripts of others rely on: the keys of each `--json` document and of each file of the record.

More keys may come; those here stay. Every document is of real commands in one small project.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = """\
import hydra
import numpy as np


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    np.save("weights.npy", np.random.rand(3)) if cfg.save else None
    return {"accuracy": 0.9 + cfg.lr + float(np.random.rand()) / 100, "loss": 1.0}


main()
"""
LIMIT_S = 240

LIST = {
    "run_id",
    "dir",
    "name",
    "tags",
    "mode",
    "status",
    "upheld",
    "seed",
    "started_at",
    "duration_s",
    "result",
}
SHOW = {"dir", "run", "config", "code", "environment", "determinism", "data", "result"}
ROW = {
    "config",
    "metric",
    "n",
    "planned",
    "failed",
    "missing",
    "mean",
    "std",
    "ci_low",
    "ci_high",
    "confidence",
    "coefficient_of_variation",
    "coefficient_of_variation_corrected",
    "stable",
    "within_tolerance",
    "min",
    "median",
    "max",
    "seeds",
    "notes",
}
DIFFERENCE = {"area", "key", "a", "b", "abs_diff", "rel_diff", "rank"}
AREAS = {"config", "code", "environment", "hardware", "data", "determinism", "seed", "metrics", "files"}
REPRODUCE = {"verdict", "run", "reproduction", "compared", "waived", "causes", "metrics", "missing"}
COMPARED = {"metrics", "files", "tensors", "fingerprint_steps"}
METRIC = {"name", "original", "reproduced", "abs_error", "rel_error", "equal_bits", "within"}
CHECK = {"reproducible", "runs", "pairs", "first_divergence", "causes"}
VERSION = {"name", "version", "digest", "path", "size_bytes", "files", "description", "source", "created_at"}
FINDING = {"id", "severity", "message", "remedy"}
FACTS = {"python", "platform", "gpus", "commit", "dirty", "datasets", "runs", "record_bytes"}
RUN = {
    "schema",
    "run_id",
    "name",
    "tags",
    "note",
    "mode",
    "status",
    "upheld",
    "waived",
    "seed",
    "seed_set",
    "seeds",
    "created_at",
    "started_at",
    "ended_at",
    "heartbeat_at",
    "duration_s",
    "peak_memory_bytes",
    "argv",
    "cwd",
    "overrides",
    "python",
    "host",
    "user",
    "pid",
    "rank",
    "world_size",
    "launcher",
    "sweep",
    "slurm",
    "processes",
    "parent_run_id",
    "restarts",
    "findings",
    "error",
}
SEVERITIES = {"blocks", "may_change_bits", "harmless"}


class Reader:
    """Somebody's script, which calls the commands and reads what they print."""

    def __init__(self, top: Path, home: Path) -> None:
        self.top = top
        ours = ("GIT_", "REPRO_HYDRA_", "PYTEST_", "SLURM_", "OMP_", "MKL_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self.environment = kept | {"HOME": str(home), "XDG_STATE_HOME": str(home / "state")}

    def call(self, *command: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, cwd=self.top, env=self.environment, capture_output=True, text=True, timeout=LIMIT_S
        )
        assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def python(self, *arguments: str) -> None:
        self.call(sys.executable, "train.py", *arguments)

    def document(self, *command: str, status: int = 0) -> Any:
        """The one JSON document on standard output; strictly JSON, so without NaN."""
        done = self.call(sys.executable, "-m", "repro_hydra", *command, "--json", status=status)

        def no_constant(name: str) -> None:
            raise AssertionError(f"{command}: {name} is no JSON")

        return json.loads(done.stdout, parse_constant=no_constant)

    def runs(self, below: str) -> list[str]:
        found = sorted(self.top.glob(f"{below}/**/.repro/run.json"))
        return [str(file.parents[1].relative_to(self.top)) for file in found]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    top = tmp_path_factory.mktemp("project")
    (top / "conf").mkdir()
    (top / "data").mkdir()
    (top / "train.py").write_text(SCRIPT)
    (top / "conf" / "config.yaml").write_text("seed: 0\nlr: 0.01\nsave: false\n")
    (top / "data" / "a.csv").write_text("1,2\n")
    (top / ".gitignore").write_text("outputs/\nmultirun/\nreproductions/\n__pycache__/\n*.npy\n")
    made = Reader(top, tmp_path_factory.mktemp("home"))
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "a"]):
        subprocess.run([*git, *command], cwd=top, check=True)
    made.python("+repro=strict", "hydra.run.dir=outputs/a")
    made.python("+repro=strict", "hydra.run.dir=outputs/b", "lr=0.02", "seed=1")
    made.python("-m", "+repro=strict", "seed=range(3)")
    return made


def test_list(reader: Reader) -> None:
    runs = reader.document("list")
    assert len(runs) == 5
    assert all(set(run) >= LIST for run in runs)
    assert {run["upheld"] for run in runs} == {"yes"}
    assert reader.document("list", "outputs", "--where", "config.lr>0.015", "--limit", "1")[0]["seed"] == 1


def test_show_and_the_record(reader: Reader) -> None:
    shown = reader.document("show", "outputs/a")
    assert set(shown) >= SHOW
    assert set(shown["run"]) >= RUN
    assert set(json.loads((reader.top / "outputs/a/.repro/run.json").read_text())) >= RUN
    assert set(shown["run"]["seeds"]) >= {"python", "numpy", "torch", "cuda"}
    assert shown["run"]["status"] == "completed"
    assert len(shown["run"]["run_id"]) == 32
    assert shown["run"]["sweep"] is None
    assert {finding["severity"] for finding in shown["run"]["findings"]} <= SEVERITIES
    assert all(
        set(finding) >= {"id", "severity", "message", "file", "line", "waived"}
        for finding in shown["run"]["findings"]
    )
    assert "coverage" in shown["data"]
    (job, *_) = reader.runs("multirun")
    in_sweep = reader.document("show", job)["run"]
    assert set(in_sweep["sweep"]) >= {"id", "dir", "job_num"}
    assert reader.document("show", in_sweep["run_id"][:10])["run"]["run_id"] == in_sweep["run_id"]


def test_the_files_of_a_record(reader: Reader) -> None:
    names = {file.name for file in (reader.top / "outputs/a/.repro").iterdir()}
    assert names >= {
        "run.json",
        "config.json",
        "code.json",
        "environment.json",
        "determinism.json",
        "data.json",
        "metrics.jsonl",
        "result.json",
        "manifest.json",
    }
    sweep = next(reader.top.glob("multirun/*/*/.repro/sweep.json"))
    assert json.loads(sweep.read_text())["schema"]


def test_aggregate(reader: Reader) -> None:
    document = reader.document("aggregate", "multirun")
    assert set(document) >= {"rows", "left_out"}
    rows = {row["metric"]: row for row in document["rows"]}
    assert all(set(row) >= ROW for row in rows.values())
    assert (rows["accuracy"]["n"], rows["accuracy"]["planned"], rows["accuracy"]["seeds"]) == (
        3,
        3,
        [0, 1, 2],
    )
    assert rows["accuracy"]["ci_low"] < rows["accuracy"]["mean"] < rows["accuracy"]["ci_high"]
    script = Path(__file__).parents[2] / "scripts" / "aggregate.py"
    again = reader.call(sys.executable, str(script), "multirun", "--format", "json")
    assert json.loads(again.stdout) == document


def test_compare(reader: Reader) -> None:
    document = reader.document("compare", "outputs/a", "outputs/b", status=1)
    assert document["same"] is False
    assert all(set(difference) >= DIFFERENCE for difference in document["differences"])
    assert {difference["area"] for difference in document["differences"]} <= AREAS
    assert {"config", "seed", "metrics"} <= {difference["area"] for difference in document["differences"]}
    ranks = [difference["rank"] for difference in document["differences"]]
    assert ranks == sorted(ranks)


def test_verify(reader: Reader) -> None:
    document = reader.document("verify", "outputs/a")
    assert document["ok"] is True
    assert all(set(finding) >= {"area", "severity", "message"} for finding in document["findings"])


def test_reproduce(reader: Reader) -> None:
    document = reader.document("reproduce", "outputs/a")
    assert set(document) >= REPRODUCE
    assert document["verdict"] == "BITWISE"
    assert set(document["compared"]) >= COMPARED
    assert document["compared"]["metrics"] == 2
    assert all(set(metric) >= METRIC for metric in document["metrics"])
    assert (Path(document["reproduction"]) / ".repro" / "reproduction.json").is_file()


def test_check(reader: Reader) -> None:
    command = (sys.executable, "train.py", "+repro=strict", "hydra.run.dir=outputs/checked")
    done = reader.call(sys.executable, "-m", "repro_hydra", "check", "--runs", "2", "--json", "--", *command)
    document = json.loads(done.stdout)
    assert set(document) >= CHECK
    assert document["reproducible"] is True
    assert document["first_divergence"] is None
    assert document["causes"] == []


def test_data(reader: Reader) -> None:
    added = reader.document("data", "add", "data", "--name", "digits", "-m", "first")
    assert set(added) >= VERSION
    assert reader.document("data", "show", "digits")["version"] == added["version"]
    listed = reader.document("data", "list")
    assert [version["name"] for version in listed] == ["digits"]
    assert set(listed[0]) >= VERSION
    verified = reader.document("data", "verify", "digits")
    assert set(verified) >= {"ok", "findings"}
    (reader.top / "data" / "a.csv").write_text("1,3\n")
    verified = reader.document("data", "verify", "digits", status=1)
    assert verified["ok"] is False
    assert all(set(finding) >= FINDING for finding in verified["findings"])
    (reader.top / "data" / "a.csv").write_text("1,2\n")


def test_environment(reader: Reader) -> None:
    reader.call(sys.executable, "-m", "repro_hydra", "env", "snapshot", "-o", "lock.json")
    document = reader.document("env", "verify", "lock.json")
    assert document["ok"] is True
    assert all(set(finding) >= FINDING for finding in document["findings"])


def test_doctor(reader: Reader) -> None:
    document = reader.document("doctor")
    assert set(document) >= {"ok", "findings", "facts"}
    assert set(document["facts"]) >= FACTS
    assert all(set(finding) >= FINDING for finding in document["findings"])
    assert {finding["severity"] for finding in document["findings"]} <= SEVERITIES


@pytest.mark.parametrize(
    "command",
    [
        ("list", "nowhere"),
        ("show", "ffffffff"),
        ("aggregate", "nowhere"),
        ("compare", "outputs/a", "nowhere"),
        ("verify", "nowhere"),
        ("reproduce", "nowhere"),
        ("data", "show", "nothing"),
        ("env", "verify", "nowhere.json"),
        ("report", "nowhere", "-o", "x.html"),
        ("no-such-command",),
    ],
    ids=" ".join,
)
def test_a_mistake_gets_a_message(reader: Reader, command: tuple[str, ...]) -> None:
    """Status 1 or 2, one message, no traceback, nothing on standard output that could be taken for an answer."""
    done = subprocess.run(
        [sys.executable, "-m", "repro_hydra", *command],
        cwd=reader.top, env=reader.environment, capture_output=True, text=True, timeout=LIMIT_S,
    )  # fmt: skip
    assert done.returncode in (1, 2)
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr + done.stdout
