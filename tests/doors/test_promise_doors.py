"""Options that take away what strict promises are never passed over in silence."""

from __future__ import annotations

import pytest
from doors_project import DRAWING_SCRIPT, PLAIN_CONFIG, Project, finding_ids, load


@pytest.fixture
def drawing(project: Project) -> Project:
    return project.holding(DRAWING_SCRIPT, PLAIN_CONFIG)


@pytest.mark.parametrize("sweep", [[], ["-m"]])
def test_a_run_without_a_seed_is_refused(drawing: Project, sweep: list[str]) -> None:
    """Each run would draw other numbers."""
    done = drawing.run(*sweep, "+repro=strict", "+repro/seed=off")
    assert done.code == 1
    assert "[seed-not-set]" in done.text
    assert drawing.runs() == []


def test_it_can_be_waived(drawing: Project) -> None:
    drawing.run(
        "+repro=strict", "+repro/seed=off", "hydra.callbacks.repro.allow={seed-not-set: seeded by hand}"
    ).ok()
    assert load(drawing.only_run(), "run")["upheld"] == "waived"


@pytest.mark.parametrize("choice", ["warn", "off"])
def test_weaker_settings_take_upheld_away(drawing: Project, choice: str) -> None:
    """The run may still be the same again; nobody can say so."""
    drawing.run("+repro=strict", f"+repro/determinism={choice}").ok()
    run = drawing.only_run()
    assert "setting-weakened:torch" in finding_ids(run)
    assert load(run, "run")["upheld"] == "no"


def test_a_sweep_over_them_marks_the_jobs_it_concerns(drawing: Project) -> None:
    drawing.run("-m", "+repro=strict", "+repro/determinism=enforce,warn").ok()
    assert [load(run, "run")["upheld"] for run in drawing.runs()] == ["yes", "no"]


def test_the_other_modes_promise_nothing(drawing: Project) -> None:
    drawing.run("+repro=standard", "+repro/seed=off").ok()
    run = drawing.only_run()
    assert finding_ids(run) == set()
    assert load(run, "run")["upheld"] == "not_promised"
