"""What the doctor says: findings with a remedy, and facts."""

from __future__ import annotations

import re

import msgspec

from repro_hydra.record.schema import JSON, Finding, Severity

_ORDER = {"blocks": 0, "may_change_bits": 1, "harmless": 2}
_COMMAND = re.compile(r"[.,;:]? Run(?: with)?: (?P<remedy>.+)\Z", re.DOTALL)


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, or will bite."""

    id: str
    severity: Severity
    message: str
    remedy: str | None = None
    """A command where there is one."""


class Examination(msgspec.Struct, frozen=True, kw_only=True):
    """What `repro-hydra doctor --json` prints."""

    ok: bool
    """Nothing blocks a strict run."""
    findings: list[Advice]
    facts: dict[str, JSON]


def examination(findings: list[Advice], facts: dict[str, JSON]) -> Examination:
    """All of it, what blocks first."""
    ordered = sorted(findings, key=lambda advice: _ORDER[advice.severity])
    return Examination(
        ok=not any(advice.severity == "blocks" for advice in ordered), findings=ordered, facts=facts
    )


def advice_from(finding: Finding, remedy: str | None = None) -> Advice:
    """A finding of a run's checks, with the mend that its message ends in taken out of it."""
    message = finding.message
    if remedy is None:
        match = _COMMAND.search(message)
        if match is not None:
            message, remedy = message[: match.start()], match["remedy"]
        elif ". " in message:
            message, _, remedy = message.rpartition(". ")
    return Advice(id=finding.id, severity=finding.severity, message=message, remedy=remedy)
