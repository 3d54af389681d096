"""What stops a start: in which mode, and what a waiver does about it."""

from __future__ import annotations

import pytest

from repro_hydra.config import ReproConf
from repro_hydra.launcher.settling import settle_start
from repro_hydra.record.schema import Finding
from repro_hydra.session.findings import Refused
from repro_hydra.session.plan import options_from

FULL = Finding(id="output-full:/out", severity="blocks", message="no room")
DIRTY = Finding(id="no-commit", severity="blocks", message="no commit")


def options(mode: str, **allow: str) -> ReproConf:
    return options_from(
        {"mode": mode, "allow": {name.replace("_", "-"): text for name, text in allow.items()}}
    )


@pytest.mark.parametrize("mode", ["strict", "standard", "record"])
def test_what_stops_in_every_mode_can_be_waived_in_every_mode(
    mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its message names the waiver, so the waiver has an effect."""
    with pytest.raises(Refused, match="output-full:/out"):
        settle_start([FULL], options(mode), "the run")
    waived = options_from({"mode": mode, "allow": {"output-full:/out": "the task writes little"}})
    (settled,) = settle_start([FULL], waived, "the run")
    assert settled.waived == "the task writes little"
    assert "waived: the task writes little" in capsys.readouterr().err


def test_a_failed_check_stops_strict_alone() -> None:
    """The others say and record it; a reason lets strict go on."""
    with pytest.raises(Refused, match="no-commit"):
        settle_start([DIRTY], options("strict"), "the run")
    assert settle_start([DIRTY], options("record"), "the run") == [DIRTY]
    assert settle_start([DIRTY], options("strict", no_commit="a trial"), "the run")[0].waived == "a trial"
