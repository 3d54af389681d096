"""``docs/faults.md`` says what the catalogue holds, and what was measured of it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "make_faults_docs.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_faults_docs", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


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
