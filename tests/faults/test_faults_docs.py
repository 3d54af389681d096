"""``docs/faults.md`` says what the catalogue holds, and what was measured of it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from catalogue import load, names
from scripts_loaded import load_script


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("make_faults_docs")


def test_the_document_is_up_to_date(script: ModuleType) -> None:
    """Names, titles and what strict does; else: python scripts/make_faults_docs.py."""
    assert script.main(["--check"]) == 0


def test_a_changed_title_is_noticed(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check barks."""
    changed = tmp_path / "faults.md"
    changed.write_text(script.document().replace("A float sum", "A double sum", 1))
    monkeypatch.setattr(script, "DOCUMENT", changed)
    assert script.main(["--check"]) == 1


def test_the_bound_is_that_of_no_event_in_n(script: ModuleType) -> None:
    """0 of 55 leaves 5.3 % possible; the exact binomial says the same."""
    from scipy.stats import binom

    bound = script.upper_bound(55)
    assert f"{100 * bound:.1f}" == "5.3"
    assert binom.cdf(0, 55, bound) == pytest.approx(0.05)


def test_what_was_said_of_equal_runs_is_written_down(script: ModuleType) -> None:
    """The fault's runs are equal here, as the variable stays what it is; standard names it all the same."""
    case, _ = load("variable-read")
    assert script._differs(case, "standard") == "equal, said"


def test_each_row_was_measured_or_says_why_not(script: ModuleType) -> None:
    """Only what needs a device may stand without."""
    measured = script.read(script.MEASURED)
    without = [name for name in names() if not {"plain", "standard"} <= measured.get(name, {}).keys()]
    assert {load(name)[0].needs for name in without} <= {"gpu"}
    assert "| — |" not in script.document()
