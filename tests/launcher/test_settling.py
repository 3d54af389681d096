"""What stops a start: in which mode, and what a waiver does about it."""

from __future__ import annotations

import pytest

from repro_hydra.config import ReproConf
from repro_hydra.launcher.settling import settle_start
from repro_hydra.record.schema import Finding
from repro_hydra.session.findings import Refused
from repro_hydra.session.plan import options_from

CLOSED = Finding(id="output-not-writable:/out", severity="blocks", message="read-only")
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
    with pytest.raises(Refused, match="output-not-writable:/out"):
        settle_start([CLOSED], options(mode), "the run")
    waived = options_from({"mode": mode, "allow": {"output-not-writable:/out": "it is, by now"}})
    (settled,) = settle_start([CLOSED], waived, "the run")
    assert settled.waived == "it is, by now"
    assert "waived: it is, by now" in capsys.readouterr().err


def test_a_failed_check_stops_strict_alone() -> None:
    """The others say and record it; a reason lets strict go on."""
    with pytest.raises(Refused, match="no-commit"):
        settle_start([DIRTY], options("strict"), "the run")
    assert settle_start([DIRTY], options("record"), "the run") == [DIRTY]
    assert settle_start([FULL], options("standard"), "the run") == [FULL]  # a small result may find its place
    assert settle_start([DIRTY], options("strict", no_commit="a trial"), "the run")[0].waived == "a trial"
