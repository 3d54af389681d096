"""`repro-hydra compare` of two runs and of more: what differs, in whose code, and what it took."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from laboratory import SCRIPT, Laboratory, laboratory_in


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    """Three runs: the second with another rate, the third with other code, not committed."""
    lab = laboratory_in(tmp_path_factory.mktemp("lab"))
    lab.holding(SCRIPT)
    lab.original("seed=3")
    lab.original("seed=3", "lr=0.2")
    lab.write("train.py", SCRIPT.replace("range(3)", "range(4)"))
    lab.original("seed=3")
    return lab


def test_more_than_two_stand_side_by_side(lab: Laboratory) -> None:
    """A key is one row, and each difference says of which run it is."""
    runs = lab.runs()
    ended = lab.repro("compare", *map(str, runs))
    assert ended.code == 1
    lines = ended.out.splitlines()
    (row,) = [line for line in lines if " lr " in line]
    assert row.split()[1:] == ["config", "lr", "0.1", "0.2", "·"]
    assert [line.split()[0] for line in lines[1:4]] == ["a", "b", "c"]
    assert all(" MiB " in line and " s " in line for line in lines[1:4])
    document = json.loads(lab.repro("compare", *map(str, runs), "--json").out)
    assert [run["dir"] for run in document["runs"]] == [str(run) for run in runs]
    assert all(run["duration_s"] > 0 and run["peak_memory_bytes"] > 0 for run in document["runs"])
    assert {(item["key"], item["run"]) for item in document["differences"] if item["area"] == "config"} == {
        ("lr", str(runs[1]))
    }
    (item,) = [item for item in document["differences"] if item["key"] == "lr"]
    assert (item["a"], item["b"], item["abs_diff"]) == (0.1, 0.2, 0.1)


def test_the_diff_is_the_real_one(lab: Laboratory, tmp_path: Path) -> None:
    """Between the two snapshots; where no repository has both, that is said."""
    first, _, third = lab.runs()
    ended = lab.repro("compare", str(first), str(third), "--only", "code")
    assert "-    for step in range(3):" in ended.out
    assert "+    for step in range(4):" in ended.out
    assert {line.split()[1] for line in ended.out.splitlines() if line.strip()[:1].isdigit()} == {"code"}
    assert "code of" not in lab.repro("compare", str(first), str(third), "--only", "metrics").out
    copies = [shutil.copytree(run, tmp_path / name) for name, run in (("a", first), ("c", third))]
    ended = lab.repro("compare", *map(str, copies), cwd=tmp_path)
    assert "no repository here has both" in ended.out


def test_a_run_is_as_itself(lab: Laboratory) -> None:
    run = str(lab.runs()[0])
    assert "the same in everything" in lab.repro("compare", run, run).ok().out
    lab.repro("compare", run).refused(2, "two runs or more")
    lab.repro("compare", run, run, "--only", "timings").refused(2, "expected one of config")


def test_what_only_one_record_has_is_not_the_same(lab: Laboratory, tmp_path: Path) -> None:
    """A part that is gone or damaged was not compared: no word of sameness, and a status that says so."""
    whole = lab.runs()[0]
    hurt = shutil.copytree(whole, tmp_path / "hurt")
    for name in ("config", "data", "manifest"):
        (hurt / ".repro" / f"{name}.json").unlink()
    for name in ("environment", "determinism"):
        half = (hurt / ".repro" / f"{name}.json").read_text()[:100]
        (hurt / ".repro" / f"{name}.json").write_text(half)
    ended = lab.repro("compare", str(whole), str(hurt), "--json")
    document = json.loads(ended.out)
    assert (ended.code, document["same"]) == (1, False)
    assert {(item["area"], item["key"], item["a"], item["b"]) for item in document["differences"]} == {
        (area, "recorded", True, False) for area in ("config", "environment", "data", "determinism", "files")
    }
    lab.repro("compare", str(hurt), str(hurt)).ok()
