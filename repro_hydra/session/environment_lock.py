"""The project's environment lock, held against the environment of a run: before the start, and in each job."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from repro_hydra.config import EnvironmentConf
from repro_hydra.environment import list_distributions
from repro_hydra.environment.software import describe_interpreter
from repro_hydra.record.environment import EnvironmentRecord
from repro_hydra.record.lock import project_lock
from repro_hydra.record.manifest import digest_bytes
from repro_hydra.record.places import project_of
from repro_hydra.record.schema import JSON, Finding
from repro_hydra.session.findings import Misuse
from repro_hydra.session.plan import LockPlan, Plan


def look_at_lock(options: EnvironmentConf, cwd: Path) -> tuple[LockPlan | None, list[Finding]]:
    """The lock that holds for runs started in `cwd`, and how this interpreter and its packages differ from it.

    Raises
    ------
    Misuse
        For an export of a format that there is none of.
    """
    if options.exports:
        _check_formats(options.exports)
    path = project_lock(options.lock, cwd, project_of(cwd))
    if path is None:
        return None, []
    # Imported where there is a lock: reading requirements costs each start 0.03 s.
    from repro_hydra.environment.in_use import InUse
    from repro_hydra.environment.locked import locked_differences, open_lock

    lock, findings = open_lock(path)
    if lock is None:
        return None, findings if options.verify else []
    plan = LockPlan(path=str(path), blake3=digest_bytes(path.read_bytes()), lock=lock)
    if not options.verify:
        return plan, []
    # The machine is compared in the job, which may run on another one.
    here = msgspec.structs.replace(lock.environment, interpreter=describe_interpreter())
    return plan, locked_differences(lock, here, list_distributions(), in_use=InUse().why)


def _check_formats(exports: Sequence[str]) -> None:
    from repro_hydra.environment.exports import FORMATS

    for name in exports:
        if name not in FORMATS:
            raise Misuse(
                f"hydra.callbacks.repro.environment.exports: expected some of {', '.join(FORMATS)}, found {name!r}"
            )


def held_against_lock(plan: Plan, record: EnvironmentRecord) -> list[Finding]:
    """How the environment that a job found differs from the lock."""
    if plan.lock is None or not plan.options.environment.verify:
        return []
    from repro_hydra.environment.in_use import InUse
    from repro_hydra.environment.locked import locked_differences

    return locked_differences(plan.lock.lock, record, record.distributions, in_use=InUse().why)


def lock_record(plan: Plan) -> dict[str, JSON] | None:
    """What ``environment.json`` says of the lock."""
    if plan.lock is None:
        return None
    return {
        "path": plan.lock.path,
        "blake3": plan.lock.blake3,
        "verified": plan.options.environment.verify,
    }
