"""The fingerprints of one job: taken where its options say so, and gone on with after a restart."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from repro_hydra.config import FingerprintLevel
from repro_hydra.imports import LateImports
from repro_hydra.record.schema import JSON, Finding
from repro_hydra.session.attempt import Attempt
from repro_hydra.session.ledger import Ledger
from repro_hydra.session.say import say

if TYPE_CHECKING:
    from repro_hydra.fingerprint.operators import OperatorTrace
    from repro_hydra.fingerprint.recorder import Fingerprints


STOPPED = "fingerprints-stopped"


class JobFingerprints:
    """Of one job, over all attempts at it. What goes wrong with them is a finding, and costs the run nothing else."""

    def __init__(self, ledger: Ledger, attempt: Attempt) -> None:
        self._ledger = ledger
        self._attempt = attempt
        self._taking: Fingerprints | None = None

    def begin(self, stack: ExitStack, late: LateImports) -> None:
        """Take them from now on; in an attempt that goes on from a checkpoint, from there on."""
        ledger, options = self._ledger, self._ledger.plan.options.fingerprint
        if options.level is FingerprintLevel.off or ledger.paths is None or self._attempt.lacks_fingerprints:
            return
        taking = self._taking = self._try(self._made)
        if taking is not None:
            self._try(lambda: taking.install(late.when_imported))
            stack.callback(lambda: self._try(taking.close))

    def _made(self) -> Fingerprints:
        # Imported by those runs only that take any.
        from repro_hydra.fingerprint.recorder import Fingerprints

        ledger, options = self._ledger, self._ledger.plan.options.fingerprint
        assert ledger.paths is not None
        taking = Fingerprints(
            ledger.paths.fingerprints,
            self._stopped,
            ledger.check_writer,
            whole=options.level is FingerprintLevel.full,
            every=options.every,
            trace=self._trace(),
        )
        if self._attempt.repeating:
            taking.pause()
        return taking

    def _trace(self) -> OperatorTrace | None:
        """Of the operators, in a run that is made again to find the one by which it differs."""
        recorded = self._ledger.plan.recorded
        watch = None if recorded is None else recorded.watch
        if watch is None or watch.trace is None:
            return None
        from repro_hydra.fingerprint.operators import OperatorTrace

        return OperatorTrace(
            Path(watch.trace),
            self._stopped,
            self._ledger.plan.cwd,
            optimizer_index=watch.optimizer_index,
            steps=range(watch.first_step, watch.last_step + 1),
        )

    def went_on(self) -> None:
        """The task goes on from the newest checkpoint, so that no step is made a second time any more."""
        so_far = self._attempt.fingerprints
        if self._taking is not None and so_far is not None:
            self._taking.go_on(so_far)

    def parts_for_checkpoint(self) -> dict[str, JSON]:
        """How far they were taken: part of a checkpoint."""
        if self._taking is None:
            return {}
        so_far = self._try(self._taking.so_far)
        return {} if so_far is None else {"fingerprints": msgspec.to_builtins(so_far)}

    def _try(self, action: Callable[[], Any]) -> Any:
        """Do what may fail without any harm to the run's results."""
        try:
            return action()
        except Exception as error:  # noqa: BLE001 (whatever of ours fails must not cost the user's result)
            self._stopped(error)
            return None

    def _stopped(self, error: Exception) -> None:
        if any(finding.id == STOPPED for finding in self._ledger.findings):
            return
        finding = Finding(
            id=STOPPED,
            severity="harmless",
            message=(
                f"no more fingerprints were taken, since that failed ({type(error).__name__}: {error}). "
                "The results are not touched by it"
            ),
        )
        self._ledger.findings.append(finding)
        say(f"[{finding.id}] {finding.message}")
