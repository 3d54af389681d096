"""``repro-hydra verify``: is the record whole, its code to be had, its data as it was, this environment equal."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import msgspec

from repro_hydra.cli.errors import NO, UserError
from repro_hydra.cli.output import default_roots, print_json, shorten_home
from repro_hydra.record.find import resolve, walk
from repro_hydra.record.reproduction import Verification
from repro_hydra.reproduce.exported import opened
from repro_hydra.reproduce.verification import Surroundings, verify_run
from repro_hydra.sweep.table import clean

_TELL_PROGRESS_FROM = 20
_MARKS = {"blocks": "NO", "may_change_bits": "??", "harmless": "  "}


def run(references: list[str], *, manifest: str | None, json: bool) -> None:
    """The command."""
    with ExitStack() as stack:
        _verify(_run_directories(references, stack), manifest=manifest, json=json)


def _verify(dirs: dict[Path, str], *, manifest: str | None, json: bool) -> None:
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
    ok = all(outcome.ok for _, outcome in outcomes)
    if json:
        _print_json([(dirs[run_dir], outcome) for run_dir, outcome in outcomes], ok)
    else:
        for run_dir, outcome in outcomes:
            print(clean(f"{'ok ' if outcome.ok else 'NO '} {shorten_home(dirs[run_dir])}"))
            for item in outcome.findings:
                print(clean(f"  {_MARKS[item.severity]} {item.area}: {item.message}"))
    if not ok:
        raise SystemExit(NO)


def _run_directories(references: list[str], stack: ExitStack) -> dict[Path, str]:
    """Each run that is meant, and what it is called; a sweep means all its jobs.

    What is unpacked is there until `stack` is closed, and called by the file that it came from.
    """
    found: dict[Path, str] = {}
    for reference in references:
        located = stack.enter_context(opened(reference)) or resolve(reference, default_roots())
        top = Path(located.dir)
        jobs = sorted(Path(item.dir) for item in walk([top]) if item.kind == "run")
        for run_dir in jobs if located.kind == "sweep" else [top]:
            inside = run_dir.relative_to(top.parent).as_posix() if Path(reference).is_file() else ""
            found[run_dir] = f"{reference}: {inside}" if inside else str(run_dir)
    return found


def _print_json(outcomes: list[tuple[str, Verification]], ok: bool) -> None:
    """One document: that of the run, or, for several, all findings with the run that each is of."""
    if len(outcomes) == 1:
        print_json(outcomes[0][1])
        return
    findings = [
        {**msgspec.structs.asdict(item), "run": run} for run, outcome in outcomes for item in outcome.findings
    ]
    print_json({"ok": ok, "findings": findings})
