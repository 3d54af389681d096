"""The table of settings: whole, in step with the options and with its document."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest
from scripts_loaded import load_script

from repro_hydra.config import DeterminismConf
from repro_hydra.determinism import SETTINGS

TOP = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("make_settings_docs")


def test_each_option_asks_for_a_row_and_each_row_names_an_option() -> None:
    """An option that no row acts upon, or a row that nothing can ask for, would be a promise without a probe."""
    named = {setting.option for setting in SETTINGS if setting.option is not None}
    assert named == {field.name for field in fields(DeterminismConf)}
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS)


def test_what_is_recorded_only_is_never_asked_for() -> None:
    """A row without an option asks for nothing, and sets nothing."""
    for setting in SETTINGS:
        if setting.option is None:
            assert setting.apply is None
            assert setting.asked(DeterminismConf()) is None


def test_the_document_is_up_to_date(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`docs/settings.md` says what the table says; the check barks when it does not."""
    monkeypatch.setattr(sys, "argv", ["make_settings_docs.py", "--check"])
    assert script.main() == 0
    lagging = tmp_path / "settings.md"
    lagging.write_text(script.DOCUMENT.read_text().replace("hash_seed", "hash_sead"))
    monkeypatch.setattr(script, "DOCUMENT", lagging)
    assert script.main() == 1
