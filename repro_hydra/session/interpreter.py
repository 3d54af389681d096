"""Whether this interpreter started with the environment that a run needs, and starting it again with that.

It is asked first of all, and imports little: what a process does that is then replaced, it does in vain.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from repro_hydra.config import ReproConf
from repro_hydra.determinism import (
    initial_environment,
    required_variables,
    restart,
    restarted_already,
    variables_not_in_force,
)
from repro_hydra.determinism.addresses import can_be_fixed, layout
from repro_hydra.program import ignores_environment, why_not_restartable
from repro_hydra.record.schema import Finding
from repro_hydra.session import process

RUN_COMMAND = "repro-hydra run -- COMMAND"


def restart_if_needed(options: ReproConf) -> list[Finding]:
    """Replace this process by one that starts with the right environment, where that is needed and mends it.

    Returns
    -------
    list of Finding
        What it does not mend. Nothing for a process in which a job ran already: that is a finding of its own.
    """
    if not options.check_only and not process.is_fresh():
        return []
    restart_with, findings = check_interpreter(options)
    if restart_with and not options.check_only:
        restart(restart_with)
    return findings


def check_interpreter(options: ReproConf, *, addresses: bool = True) -> tuple[dict[str, str], list[Finding]]:
    """Whether this interpreter started with the environment that `options` want.

    Parameters
    ----------
    addresses : bool
        Whether memory that is laid out at random is a reason of its own to start again. It is never one to refuse.

    Returns
    -------
    restart_with : dict
        The variables that one re-execution would put in force; empty where none is needed, or none possible.
    findings : list of Finding
        What no re-execution can mend.
    """
    required = required_variables(options.determinism, os.environ)
    missing = variables_not_in_force(required, initial_environment())
    reason = why_not_restartable()
    if not missing:
        again = addresses and options.determinism.interpreter and reason is None and not restarted_already()
        return (required if again and layout() == "randomised" and can_be_fixed() else {}), []
    described = ", ".join(f"{name}={found or 'unset'}" for name, found in missing.items())
    wanted = " ".join(f"{name}={required[name]}" for name in missing)
    if ignores_environment():
        return {}, [
            Finding(
                id="interpreter-ignores-environment",
                severity="blocks",
                message=(
                    f"the interpreter: expected to start with {wanted}, but python -I or -E makes it ignore that "
                    f"(found {described}). Start it without that flag"
                ),
            )
        ]
    if restarted_already():
        reason = "it was started again with them, and they did not arrive"
    if reason is not None:
        return {}, [
            Finding(
                id="interpreter-not-in-force",
                severity="blocks",
                message=(
                    f"the interpreter: expected to start with {wanted}, found {described}, and it cannot be "
                    f"started again: {reason}. Run: {RUN_COMMAND}"
                ),
            )
        ]
    return required, []


def check_env_set(given: Mapping[str, object], required: Mapping[str, str]) -> list[Finding]:
    """``hydra.job.env_set`` against the variables that must be in force from the interpreter's start."""
    return [
        Finding(
            id=f"env-set-conflict:{name}",
            severity="blocks",
            message=(
                f"hydra.job.env_set.{name}: expected {required[name]!r} or nothing, found {str(value)!r}. It is set "
                "too late to be in force; take it out, or change hydra.callbacks.repro.determinism"
            ),
        )
        for name, value in given.items()
        if name in required and str(value) != required[name]
    ]


def late_hash_seed() -> list[Finding]:
    """A PYTHONHASHSEED that was set in the running process: it reads 0 and does nothing."""
    now, at_start = os.environ.get("PYTHONHASHSEED"), initial_environment().get("PYTHONHASHSEED")
    if now == at_start or sys.platform != "linux":
        return []
    return [
        Finding(
            id="hash-seed-set-too-late",
            severity="harmless",
            message=(
                f"PYTHONHASHSEED was set to {now!r} after the interpreter had started (it had {at_start!r}), "
                "which has no effect. Take that line out of the script"
            ),
        )
    ]
