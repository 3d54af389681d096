"""The seeding audit through Hydra's two doors."""

from __future__ import annotations

import pytest
from doors_project import Project, finding_ids, load

HEAD = "import hydra\nimport numpy as np\n\n"
MAIN = '@hydra.main(version_base=None, config_path="conf", config_name="config")\ndef main(cfg):\n'
FAULTY = (
    HEAD + MAIN + "    np.random.seed(42)\n    return float(np.random.default_rng().random())\n\n\nmain()\n"
)
AGAIN = "seeded-again:numpy.random@train.py:6"
UNSEEDED = "unseeded-generator:numpy.random.default_rng@train.py:7"


def test_strict_keeps_the_result_and_takes_upheld_away(project: Project) -> None:
    """Each fault is said with its file and line; the result stays."""
    project.holding(FAULTY)
    done = project.run("+repro=strict").ok()
    run = project.only_run()
    record = load(run, "run")
    assert finding_ids(run) == {AGAIN, UNSEEDED}
    assert record["upheld"] == "no"
    assert record["status"] == "completed"
    assert {(f["file"], f["line"]) for f in record["findings"]} == {("train.py", 6), ("train.py", 7)}
    assert "train.py:6" in done.text
    assert set(load(run, "result")) == {"objective"}


def test_the_audit_is_on_in_standard_and_off_in_record(project: Project) -> None:
    """A run that must not change is not watched."""
    project.holding(FAULTY)
    project.run("+repro=standard").ok()
    project.run("+repro=record").ok()
    standard, record = project.runs()
    assert finding_ids(standard) == {AGAIN, UNSEEDED}
    assert finding_ids(record) == set()


@pytest.mark.parametrize("line", [":7", ""])
def test_a_finding_is_waived_by_line_or_by_file(project: Project, line: str) -> None:
    """Lines move; the file's name stays."""
    project.holding(FAULTY.replace("    np.random.seed(42)\n", "    pass\n"))
    name = f"unseeded-generator:numpy.random.default_rng@train.py{line}".replace(":", "\\:")
    project.run("+repro=strict", f"hydra.callbacks.repro.allow={{{name}: chosen so}}").ok()
    assert load(project.only_run(), "run")["upheld"] == "waived"


def test_each_job_of_a_sweep_is_audited(project: Project) -> None:
    """Also in forked jobs."""
    project.holding(FAULTY)
    project.run("-m", "+repro=strict", "seed=1,2").ok()
    assert [finding_ids(run) for run in project.runs()] == [{AGAIN, UNSEEDED}] * 2


def test_a_clean_script_is_not_accused(project: Project) -> None:
    """Alone and in a sweep."""
    script = HEAD + MAIN + "    return float(np.random.default_rng(cfg.seed).random())\n\n\nmain()\n"
    project.holding(script)
    project.run("+repro=strict").ok()
    project.run("-m", "+repro=strict", "seed=1,2").ok()
    assert [finding_ids(run) for run in project.runs()] == [set()] * 3
    assert {load(run, "run")["upheld"] for run in project.runs()} == {"yes"}
