"""How the record of a run is closed: the other ranks waited for, sealed by its manifest, and its end told.

A run that was refused, or that failed before its task, has an end too: `abandon`.
"""

from __future__ import annotations

import os
from functools import partial

import msgspec

from repro_hydra.config import Mode
from repro_hydra.record.manifest import write_manifest
from repro_hydra.record.paths import LOCK, RunPaths
from repro_hydra.record.schema import Finding, Status
from repro_hydra.record.times import utc_now
from repro_hydra.record.vouch import user_key, vouch
from repro_hydra.seed.drawn import streams_drawn_from
from repro_hydra.session import capture
from repro_hydra.session.findings import Misuse, Refused, judge
from repro_hydra.session.ledger import RECORD_REMOVED, Ledger
from repro_hydra.session.lock import Held, WriterLock
from repro_hydra.session.rank_streams import same_streams
from repro_hydra.session.say import say


def in_a_hurry(status: Status) -> bool:
    """Whoever told the job to end will not wait long."""
    return status in ("interrupted", "preempted")


def wait_for_ranks(ledger: Ledger, status: Status) -> None:
    """Where the run is one of several ranks and completed: see what the others did, when they have ended."""
    run = ledger.run
    if ledger.paths is not None and run.world_size > 1 and status == "completed":
        # `sbatch --ntasks=2` without `srun` also looks like two ranks, of which there is one; torchrun has said RANK.
        others = run.world_size - 1 if "SUBMITIT_EXECUTOR" in os.environ or "RANK" in os.environ else 0
        capture.wait_for_ranks(run, ledger.paths, others)
        ledger.findings += ledger.keep("streams", partial(_shared_with_ranks, ledger)) or []


def _shared_with_ranks(ledger: Ledger) -> list[Finding]:
    options = ledger.plan.options.seed
    if ledger.paths is None or not options.set or options.ranks_alike:
        return []
    return same_streams(streams_drawn_from(), ledger.paths, ledger.findings)


def seal(ledger: Ledger, status: Status) -> str | None:
    """The last files of the record; the manifest's digest."""
    paths = ledger.paths
    failed = capture.failed_rank(capture.processes_of(ledger.run, paths))
    if status == "completed" and failed is not None:  # read after this end was written: see ChildSession
        ledger.keep("run", lambda: ledger.save(durable=True, **capture.failed_by(failed)))
    if paths is None:
        return None
    ledger.keep("vouch", lambda: vouch(paths, ledger.run.run_id, user_key(os.environ)))
    digest: str | None = ledger.keep("manifest", partial(write_manifest, paths))
    return digest


def finish_earlier_end(paths: RunPaths) -> None:
    """Do what an earlier attempt could not, that was killed right after its run had completed: manifest and lock.

    It vouches for nothing: this process has not written what stands there.
    """
    if paths.manifest.exists() and not any(paths.run_dir.glob(f"{LOCK}*")):
        return
    lock = WriterLock(paths.run_dir, os.environ)
    try:
        lock.acquire()
    except (Held, OSError):  # it is still at it; or nothing can be written there
        return
    try:
        if not paths.manifest.exists():
            say(
                f"{paths.run_dir}: the record has completed without a manifest; made now: {write_manifest(paths)}"
            )
    except OSError as error:
        say(f"{paths.manifest}: cannot be made: {error}")
    finally:
        lock.release()


def tell(ledger: Ledger, digest: str | None) -> None:
    """Say how the run ended, what counts against it, and where its record is.

    Parameters
    ----------
    digest : str or None
        The manifest's, which whoever keeps these words can hold the record against.
    """
    run, mode = ledger.run, ledger.mode
    serious = [f for f in run.findings if f.severity != "harmless" and f.waived is None]
    for finding in serious:
        if finding.id == RECORD_REMOVED:
            continue  # said just now
        say(f"[{finding.id}] {finding.message}")
    if ledger.paths is None:
        return
    words = f"{run.status}"
    if mode is Mode.strict:
        words += f", upheld: {run.upheld}"
    anchor = f", manifest blake3:{digest}" if digest else ""
    say(
        f"{words}; its record is gone"
        if ledger.record_is_gone
        else f"{words}; record {ledger.paths.record}{anchor}"
    )


def abandon(ledger: Ledger, error: BaseException) -> None:
    """Say in the record that the task never began, and why."""
    status, info = ledger.ending(error)
    if isinstance(error, (Refused, Misuse)) and info is not None:
        info = msgspec.structs.replace(info, traceback=None)
    ledger.settle()
    ended = {
        "status": "failed" if status == "completed" else status,
        "error": info,
        "ended_at": utc_now(),
        "upheld": judge(ledger.findings, ledger.mode),
    }
    ledger.keep("run", lambda: ledger.save(durable=True, **ended))
