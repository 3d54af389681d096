"""Reproducing a whole sweep: all its jobs, the verdict of each, and that of the sweep."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from repro_hydra.record.find import Located
from repro_hydra.record.paths import SweepPaths
from repro_hydra.record.reproduction import VERDICTS, Compared, Reproduction
from repro_hydra.record.schema import SweepRecord
from repro_hydra.record.store import RecordError, read
from repro_hydra.reproduce.again import reproduce_run
from repro_hydra.reproduce.siblings import job_directories
from repro_hydra.reproduce.tolerances import tolerances_of
from repro_hydra.reproduce.verdict import Judgement, impossible
from repro_hydra.reproduce.workshop import Asked, Workshop


def reproduce_located(located: Located, asked: Asked, n_jobs: int = 1) -> Reproduction:
    """Reproduce what was found: one run, or every job of a sweep, `n_jobs` at a time."""
    with Workshop(asked) as workshop:
        if located.kind == "sweep":
            return _reproduce_sweep(Path(located.dir), workshop, n_jobs)
        return reproduce_run(Path(located.dir), workshop)


def _reproduce_sweep(sweep_dir: Path, workshop: Workshop, n_jobs: int) -> Reproduction:
    try:
        sweep = read(SweepPaths(sweep_dir).sweep, SweepRecord)
    except RecordError as error:
        return impossible(None, str(sweep_dir), [f"record: {error}"])
    found = dict(job_directories_by_number(sweep_dir, sweep))
    never = [job for job in sweep.jobs if job.num not in found]
    if n_jobs == 1 or len(found) < 2:
        outcomes = [reproduce_run(folder, workshop) for folder in found.values()]
    else:
        # The first alone: it asks, and checks the code out; those after it find both done.
        folders = list(found.values())
        outcomes = [reproduce_run(folders[0], workshop)]
        with ThreadPoolExecutor(n_jobs) as pool:
            outcomes += pool.map(lambda folder: reproduce_run(folder, workshop), folders[1:])
    outcomes += [
        impossible(
            None, str(sweep_dir), [f"record: job {job.num} ({' '.join(job.overrides)}): it left no record"]
        )
        for job in never
    ]
    return _of_all(sweep, sweep_dir, outcomes, workshop.asked.judgement)


def job_directories_by_number(sweep_dir: Path, sweep: SweepRecord) -> list[tuple[int, Path]]:
    """The jobs that have a record, by number."""
    return [(job.num, folder) for job, folder in job_directories(sweep_dir, sweep.jobs)]


def _of_all(
    sweep: SweepRecord, sweep_dir: Path, outcomes: Sequence[Reproduction], asked: Judgement
) -> Reproduction:
    if not outcomes:
        return impossible(None, str(sweep_dir), ["record: the sweep has no jobs"])
    verdict = max((outcome.verdict for outcome in outcomes), key=VERDICTS.index)
    counted = [(name, sum(outcome.verdict == name for outcome in outcomes)) for name in VERDICTS]
    told = ", ".join(f"{count} {name}" for name, count in counted if count)
    # A job whose record cannot be read says nothing of a tolerance.
    of_a_run = next((outcome for outcome in outcomes if outcome.run_id is not None), None)
    usual = of_a_run or tolerances_of(None, asked.rtol, asked.atol).usual
    compared = [outcome.compared for outcome in outcomes]
    return Reproduction(
        verdict=verdict,
        headline=f"{verdict}: {len(outcomes)} jobs, {told}",
        run=str(sweep_dir),
        run_id=sweep.sweep_id,
        reproduction=next(
            (str(Path(o.reproduction).parent.parent) for o in outcomes if o.reproduction), None
        ),
        compared=Compared(
            metrics=sum(c.metrics for c in compared),
            files=sum(c.files for c in compared),
            tensors=sum(c.tensors for c in compared),
            fingerprint_steps=sum(c.fingerprint_steps for c in compared),
            logged_values=sum(c.logged_values for c in compared),
            errors=sum(c.errors for c in compared),
        ),
        waived={id_: reason for outcome in outcomes for id_, reason in outcome.waived.items()},
        causes=[cause for outcome in outcomes for cause in outcome.causes],
        metrics=[row for outcome in outcomes for row in outcome.metrics],
        missing=[text for outcome in outcomes for text in outcome.missing],
        rtol=usual.rtol,
        atol=usual.atol,
        tolerances={name: own for outcome in outcomes for name, own in outcome.tolerances.items()},
        jobs=list(outcomes),
    )
