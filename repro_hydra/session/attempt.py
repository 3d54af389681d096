"""Which attempt at a run this is: its first one, or one that goes on where an earlier one was interrupted."""

from __future__ import annotations

from repro_hydra.checkpoint.shelf import Kept
from repro_hydra.fingerprint.log import FingerprintsSoFar
from repro_hydra.record.schema import JSON, Finding, Severity
from repro_hydra.session.continuing import Continuation
from repro_hydra.session.ledger import Ledger
from repro_hydra.session.metrics import MetricsSoFar
from repro_hydra.session.owning import own
from repro_hydra.session.say import say


class Attempt:
    """The attempt that a session makes at its run.

    Attributes
    ----------
    claimed : bool
        Whether the run's directory is this attempt's; a record there is another's until then.
    repeating : bool
        Whether lines of the task run that have run before: until its loop has gone on from the checkpoint.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._found: Continuation | None = None
        self.claimed = False
        self.repeating = False

    def claim(self) -> None:
        """Take the run's directory, with what an earlier attempt left there.

        Raises
        ------
        Misuse, Refused
            As `own` does.
        """
        self._found = own(self._ledger)
        self.claimed = True
        self.repeating = self._kept is not None

    @property
    def _kept(self) -> Kept | None:
        return None if self._found is None else self._found.kept

    @property
    def metrics(self) -> MetricsSoFar | None:
        """What had been logged at the checkpoint that this attempt goes on from."""
        return None if self._found is None else self._found.metrics

    @property
    def fingerprints(self) -> FingerprintsSoFar | None:
        """How far fingerprints had been taken at it."""
        return None if self._found is None else self._found.fingerprints

    @property
    def lacks_fingerprints(self) -> bool:
        """Whether it goes on from a checkpoint before which none were taken: those after it would count wrongly."""
        return self._kept is not None and self.fingerprints is None

    @property
    def given(self) -> dict[str, JSON]:
        """What `log_result` had been given at it."""
        return {} if self._found is None else self._found.given

    def continued_from(self, kept: Kept) -> bool:
        """A loop goes on from `kept`. Once that is the newest, no line of the task runs a second time any more.

        Returns
        -------
        bool
            Whether it is the newest.
        """
        newest = self._kept
        is_newest = newest is not None and newest.number == kept.number
        if is_newest:
            self.repeating = False
        return is_newest

    def note_not_exact(self, what: str, message: str) -> None:
        """A restart would not be exact, or was not: said once, and held against the result only after one."""
        severity: Severity = "may_change_bits" if self._kept is not None else "harmless"
        finding = Finding(id=f"not-resumable:{what}", severity=severity, message=message)
        if finding not in self._ledger.findings:
            self._ledger.findings.append(finding)
            say(f"[{finding.id}] {message}")

    def leave(self, error: BaseException | None) -> None:
        """Find it, where a task has completed without ever having come to the loop that it was to go on in."""
        # What was interrupted on its way there was not at fault.
        if self.repeating and self._ledger.ending(error)[0] == "completed":
            self._ledger.findings.append(_never_reached())


def _never_reached() -> Finding:
    return Finding(
        id="resume-not-reached",
        severity="may_change_bits",
        message=(
            "the run was to go on from a checkpoint, and the task never came to the loop that made it: expected "
            "the same repro_hydra.resumable(…) as before"
        ),
    )
