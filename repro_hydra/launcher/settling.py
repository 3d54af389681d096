"""What is done with the findings of a start: waived, said, or held against it. The same at every door."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from repro_hydra.config import ReproConf
from repro_hydra.launcher.next_task import stop
from repro_hydra.record.schema import Finding
from repro_hydra.session.findings import Refused, blockers, refusal, waive
from repro_hydra.session.say import say

_ALWAYS_STOP = ("output-not-writable:",)
"""In every mode, unless waived: Hydra itself could not go on from here, and would say so with a traceback."""


def settle_start(findings: Sequence[Finding], options: ReproConf, what: str) -> list[Finding]:
    """As `settle`, of a run or a sweep that is about to start; with ``check_only`` list it all and end the program.

    Parameters
    ----------
    what : str
        ``the run`` or ``the sweep``.

    Raises
    ------
    Refused
    """
    if options.check_only:
        settled = waive(findings, options.allow)
        would = [f for f in settled if f.severity == "blocks" and f.waived is None]
        if not would:
            stop(f"check only: nothing would block {what}", 0)
        stop(refusal(would, f"check only, {what}", "it would not start"), 1)
    return settle(findings, options, what, always_stops=lambda finding: finding.id.startswith(_ALWAYS_STOP))


def settle(
    findings: Sequence[Finding], options: ReproConf, what: str, *, always_stops: Callable[[Finding], bool]
) -> list[Finding]:
    """Waive what is waived, stop for what blocks, and say what would have, had the mode been strict.

    Parameters
    ----------
    always_stops : callable
        Whether a finding stops in every mode, unless it is waived.

    Raises
    ------
    Refused
    """
    settled = waive(findings, options.allow)
    stopping = blockers(settled, options.mode) or [f for f in settled if always_stops(f) and f.waived is None]
    if stopping:
        raise Refused(stopping, f"{options.mode.value} refuses {what}")
    for finding in settled:
        if finding.severity == "blocks":
            state = f"waived: {finding.waived}" if finding.waived is not None else "recorded"
            say(f"[{finding.id}] {finding.message} ({state})")
    return settled
