"""How a session comes to own its run's directory: as its first writer, or as another attempt at the same run."""

from __future__ import annotations

import os

from repro_hydra.record.paths import RunPaths
from repro_hydra.record.schema import RunRecord
from repro_hydra.session.claim import check_not_running, claim_record
from repro_hydra.session.continuing import Continuation, continuation_of, earlier_attempt, make_way
from repro_hydra.session.findings import NOT_BEGUN, Misuse, Refused, waive
from repro_hydra.session.ledger import Ledger
from repro_hydra.session.lock import Held, WriterLock
from repro_hydra.session.same_run import NOT_THE_SAME, differences
from repro_hydra.session.say import say
from repro_hydra.session.writer import become_writer


def own(ledger: Ledger) -> Continuation | None:
    """Claim the directory and write ``run.json`` there.

    Returns
    -------
    Continuation or None
        What an earlier attempt left, where this is another one at the same run.

    Raises
    ------
    Misuse
        Another process writes there.
    Refused
        The run that was to be continued is another one; in strict also where the record cannot be written.
    """
    paths = ledger.paths
    assert paths is not None
    found = None
    try:
        paths.run_dir.mkdir(parents=True, exist_ok=True)
        _become_writer(ledger, paths)
        earlier = earlier_attempt(paths, ledger.plan, ledger.job)
        if earlier is not None:
            found = _go_on(ledger, paths, earlier)
        elif (kept := claim_record(paths)) is not None:
            say(f"an earlier run's record in {paths.run_dir} was put aside: {kept}")
        ledger.save()
    except (FileExistsError, Held) as error:
        raise Misuse(str(error)) from None
    except OSError as error:
        ledger.lose(error)
    return found


def _become_writer(ledger: Ledger, paths: RunPaths) -> None:
    lock = WriterLock(paths.run_dir, os.environ)
    unprotected = become_writer(lock)
    if unprotected is None:
        ledger.lock = lock
    else:
        ledger.findings.append(unprotected)


def _go_on(ledger: Ledger, paths: RunPaths, earlier: RunRecord) -> Continuation:
    """This is another attempt at the run of `earlier`."""
    if ledger.lock is None:  # else nobody else is at it
        check_not_running(paths, earlier)
    found_now = [*ledger.findings, *differences(paths, ledger.plan, ledger.job, earlier)]
    ledger.findings = waive(found_now, ledger.plan.options.allow)
    stopping = [f for f in ledger.findings if f.id.startswith(NOT_THE_SAME) and f.waived is None]
    if stopping:
        raise Refused(stopping, "the run cannot be continued", NOT_BEGUN)
    found = continuation_of(paths, earlier)
    aside = make_way(paths, found)
    ledger.findings = [*earlier.findings, *ledger.findings]
    ledger.run = found.run(ledger.run)
    where = "from the top" if found.kept is None else f"from its checkpoint {found.kept.path.name}"
    say(f"run {ledger.run.run_id[:8]} goes on {where}; what its last attempt left aside: {aside}")
    return found
