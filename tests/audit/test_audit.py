"""`repro_hydra.audit`: each fault is named with the user's line, and its twin raises no alarm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from audit_cases import (
    CASES,
    GYM_CASES,
    JAX_CASES,
    TENSORFLOW_CASES,
    TENSORFLOW_STAND_IN,
    TOP_CASES,
    TORCH_CASES,
    Case,
)

SEED = 5
RUNNER = Path(__file__).with_name("audit_runner.py")
Findings = list[dict[str, Any]]


def audited(folder: Path, cases: list[Case]) -> dict[str, Findings]:
    """What the audit finds in each case; all of them in one process."""
    for case in cases:
        (folder / f"case_{case.name}.py").write_text(case.source)
    done = subprocess.run(
        [sys.executable, str(RUNNER), str(folder), str(SEED), *(case.name for case in cases)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
        env={**os.environ, "FAULT_SCALE": "2"},
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


def check(case: Case, found: Findings) -> None:
    serious = [finding for finding in found if finding["severity"] != "harmless"]
    lines = [n for n, text in enumerate(case.source.splitlines(), 1) if "# <-" in text]
    assert [(f["id"].split(":")[0], f["file"], f["line"]) for f in serious] == [
        (case.kind, f"case_{case.name}.py", line) for line in lines
    ], found


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Findings]:
    return audited(tmp_path_factory.mktemp("plain"), CASES)


@pytest.fixture(scope="module")
def with_torch(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Findings]:
    return audited(tmp_path_factory.mktemp("torch"), TORCH_CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_in_the_task(case: Case, plain: dict[str, Findings]) -> None:
    """What a task does with Python's and NumPy's generators."""
    check(case, plain[case.name])


@pytest.mark.parametrize("case", TORCH_CASES, ids=lambda case: case.name)
def test_in_a_task_with_torch(case: Case, with_torch: dict[str, Findings]) -> None:
    """The same with torch's."""
    check(case, with_torch[case.name])


@pytest.fixture(scope="module")
def with_gymnasium(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Findings]:
    pytest.importorskip("gymnasium", reason="an extra of the tests")
    return audited(tmp_path_factory.mktemp("gym"), GYM_CASES)


@pytest.mark.parametrize("case", GYM_CASES, ids=lambda case: case.name)
def test_in_a_task_with_gymnasium(case: Case, with_gymnasium: dict[str, Findings]) -> None:
    """Environments and spaces that are used before somebody has seeded them."""
    check(case, with_gymnasium[case.name])


def test_keys_of_jax(tmp_path: Path) -> None:
    """A key from the clock is accused, one from the run's seed is not, and a constant one is written down."""
    pytest.importorskip("jax", reason="too large to be installed for the tests: counts for nothing here")
    answer = audited(tmp_path, JAX_CASES)
    for case in JAX_CASES:
        check(case, answer[case.name])
    (constant,) = answer["jax-constant"]
    assert (constant["id"], constant["line"]) == ("constant-key:jax.random.key@case_jax-constant.py:5", 5)
    assert answer["jax-own"] == []


def test_seeding_of_tensorflow(tmp_path: Path) -> None:
    """Tried on modules of the same names, since TensorFlow itself was never seen here."""
    for name, text in TENSORFLOW_STAND_IN.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    answer = audited(tmp_path, TENSORFLOW_CASES)
    for case in TENSORFLOW_CASES:
        check(case, answer[case.name])
    (own,) = answer["tf-own"]
    assert (own["severity"], own["line"]) == ("harmless", 5)


@pytest.mark.parametrize("case", TOP_CASES, ids=lambda case: case.name)
def test_at_the_top_of_the_script(case: Case, tmp_path: Path) -> None:
    """What ran before the session began is looked for in the source, and confirmed in the generators' state."""
    check(case, audited(tmp_path, [case])[case.name])


def test_seeding_again_with_the_runs_own_seed_is_written_down(plain: dict[str, Findings]) -> None:
    """It is harmless, and says with which seed."""
    (finding,) = plain["numpy-seed-own"]
    assert finding["severity"] == "harmless"
    assert finding["id"] == "seeded-again:numpy.random@case_numpy-seed-own.py:5"
    assert "the run's own seed" in finding["message"]


LATE = """
import json, sys
import repro_hydra
with repro_hydra.session({"seed": 3}, mode="standard", run_dir="run"):
    assert "numpy" not in sys.modules
    import numpy
    if "again" in sys.argv:
        repro_hydra.seed_everything(11)
run = json.load(open("run/.repro/run.json"))
print(json.dumps([run["seeds"]["numpy"], [one["message"] for one in run["findings"]]]))
"""


@pytest.mark.parametrize("again", [[], ["again"]], ids=["ours", "the user's"])
def test_seeding_a_library_that_the_task_imports_is_the_runs_own_work(
    tmp_path: Path, again: list[str]
) -> None:
    """No line of the user's did it; `seed_everything` in the task is a line of the user's, which did."""
    (tmp_path / "script.py").write_text(LATE)
    done = subprocess.run(
        [sys.executable, "script.py", *again], cwd=tmp_path, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    seed, messages = json.loads(done.stdout)
    assert seed == 3
    seeded = [message for message in messages if "numpy.random is seeded again" in message]
    assert [message.split(":")[:2] for message in seeded] == ([["script.py", "8"]] if again else [])
