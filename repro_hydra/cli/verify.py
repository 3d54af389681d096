"""``repro-hydra verify``: is the record whole, its code to be had, its data as it was, this environment equal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec

from repro_hydra.cli.errors import NO, UserError
from repro_hydra.cli.output import default_roots, print_json, shorten_home
from repro_hydra.record.find import resolve, walk
from repro_hydra.record.paths import RunPaths, SweepPaths
from repro_hydra.record.reproduction import Verification, VerifyFinding
from repro_hydra.record.schema import RunRecord, SweepRecord
from repro_hydra.record.store import RecordError, read
from repro_hydra.reproduce.exported import opened
from repro_hydra.reproduce.verification import Surroundings, verify_run
from repro_hydra.sweep.table import clean

_TELL_PROGRESS_FROM = 20
_MARKS = {"blocks": "NO", "may_change_bits": "??", "harmless": "  "}


def run(references: list[str], *, manifest: str | None, json: bool) -> None:
    """The command."""
    with ExitStack() as stack:
        dirs, gone = _run_directories(references, stack)
        _verify(dirs, gone, manifest=manifest, json=json)


def _verify(
    dirs: dict[Path, str], gone: list[tuple[str, Verification]], *, manifest: str | None, json: bool
) -> None:
    if manifest is not None and len(dirs) != 1:
        raise UserError(f"--manifest: expected one run, found {len(dirs)}")
    surroundings = Surroundings()
    outcomes: list[tuple[Path, Verification]] = []
    for number, run_dir in enumerate(dirs, start=1):
        if len(dirs) >= _TELL_PROGRESS_FROM and sys.stderr.isatty():
            print(f"\rverify: {number} of {len(dirs)}", end="", file=sys.stderr, flush=True)
        outcomes.append((run_dir, verify_run(run_dir, manifest=manifest, surroundings=surroundings)))
    if len(dirs) >= _TELL_PROGRESS_FROM and sys.stderr.isatty():
        print(file=sys.stderr)
    shown = [*((dirs[run_dir], outcome) for run_dir, outcome in outcomes), *gone]
    ok = all(outcome.ok for _, outcome in shown)
    if json:
        _print_json(shown, ok)
    else:
        for run, outcome in shown:
            print(clean(f"{'ok ' if outcome.ok else 'NO '} {shorten_home(run)}"))
            for item in outcome.findings:
                print(clean(f"  {_MARKS[item.severity]} {item.area}: {item.message}"))
    if not ok:
        raise SystemExit(NO)


def _run_directories(
    references: list[str], stack: ExitStack
) -> tuple[dict[Path, str], list[tuple[str, Verification]]]:
    """Each run that is meant, and what it is called; a sweep means all its jobs, and what it misses of them.

    What is unpacked is there until `stack` is closed, and called by the file that it came from.
    """
    found: dict[Path, str] = {}
    gone: list[tuple[str, Verification]] = []
    for reference in references:
        located = stack.enter_context(opened(reference)) or resolve(reference, default_roots())
        top = Path(located.dir)
        jobs = sorted(Path(item.dir) for item in walk([top]) if item.kind == "run")
        for run_dir in jobs if located.kind == "sweep" else [top]:
            inside = run_dir.relative_to(top.parent).as_posix() if Path(reference).is_file() else ""
            found[run_dir] = f"{reference}: {inside}" if inside else str(run_dir)
        if located.kind == "sweep" and (missing := list(_gone_from(top, jobs))):
            gone.append((reference, Verification(ok=False, findings=missing)))
    return found, gone


def _gone_from(sweep_dir: Path, jobs: list[Path]) -> Iterator[VerifyFinding]:
    """What a sweep says was completed, and has no record below it: what is not there was not verified."""
    try:
        sweep = read(SweepPaths(sweep_dir).sweep, SweepRecord)
    except RecordError as error:
        yield VerifyFinding(area="record", severity="blocks", message=str(error))
        return
    there = set()
    for run_dir in jobs:
        with suppress(RecordError):  # its own verification says so
            run = read(RunPaths(run_dir).run, RunRecord)
            there.add(None if run.sweep is None else run.sweep.job_num)
    for job in sweep.jobs:
        if job.status == "completed" and job.num not in there:
            message = f"job {job.num} ({' '.join(job.overrides)}): was completed, and has no record here"
            yield VerifyFinding(area="record", severity="blocks", message=message)
    if not jobs:
        message = "no job of this sweep has a record here, so nothing was verified"
        yield VerifyFinding(area="record", severity="blocks", message=message)


def _print_json(outcomes: list[tuple[str, Verification]], ok: bool) -> None:
    """One document: that of the run, or, for several, all findings with the run that each is of."""
    if len(outcomes) == 1:
        print_json(outcomes[0][1])
        return
    findings = [
        {**msgspec.structs.asdict(item), "run": run} for run, outcome in outcomes for item in outcome.findings
    ]
    print_json({"ok": ok, "findings": findings})
