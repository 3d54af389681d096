"""What ``import repro_hydra`` offers of this room."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from repro_hydra.record.find import Located, resolve
from repro_hydra.record.places import known_places, project_of
from repro_hydra.record.reproduction import Comparison, Reproduction, Verification
from repro_hydra.record.store import RecordError
from repro_hydra.reproduce.differences import AREAS, compare_runs
from repro_hydra.reproduce.original import read_original
from repro_hydra.reproduce.results import validate_results as validate_results
from repro_hydra.reproduce.sweeps import reproduce_located
from repro_hydra.reproduce.verdict import Judgement
from repro_hydra.reproduce.verification import verify_run
from repro_hydra.reproduce.workshop import Asked, Environment


def reproduce(
    run: str | os.PathLike[str],
    *,
    env: Environment = "current",
    rtol: float | None = None,
    atol: float | None = None,
    jobs: int = 1,
    ignore: Sequence[str] = (),
    output: str | os.PathLike[str] | None = None,
    trust: bool = False,
) -> Reproduction:
    """Run a record again, and say whether the results are the same.

    Parameters
    ----------
    run : path or str
        A run or sweep directory, or an id.
    env : str
        ``current`` compares this environment with the recorded one and uses it; ``rebuild`` makes one from the
        recorded pins.
    rtol, atol : float, optional
        Where bits differ: ``|original - reproduced| <= atol + rtol * |original|`` is within tolerance. By default
        what the run's config says (``hydra.callbacks.repro.tolerance``), metric by metric.
    jobs : int
        Jobs of a sweep at a time.
    ignore : sequence of str
        Patterns of files and metrics to leave out of the comparison.
    output : path, optional
        Where the new runs go; by default ``reproductions/`` in the project.
    trust : bool
        Run it although nobody vouches for the record.

    Raises
    ------
    NotConfirmed
        Nobody vouches for the record, and `trust` is not given.
    UnresolvedReference
        No such run.
    """
    asked = Asked(
        judgement=Judgement(rtol=rtol, atol=atol, ignore=tuple(ignore)),
        environment=env,
        output=None if output is None else Path(output),
        confirm=lambda _command, _reason: trust,
    )
    return reproduce_located(_located(run), asked, jobs)


def compare(a: str | os.PathLike[str], b: str | os.PathLike[str], *, only: Sequence[str] = ()) -> Comparison:
    """Everything in which two runs differ, what explains a differing result most likely first.

    Parameters
    ----------
    a, b : path or str
        Run directories, or ids.
    only : sequence of str
        Areas to look at; all of them by default.

    Raises
    ------
    ValueError
        For an area that is none.
    """
    unknown = [area for area in only if area not in AREAS]
    if unknown:
        raise ValueError(f"only: expected some of {', '.join(AREAS)}, found {', '.join(unknown)}")
    return compare_runs([read_original(_run_dir(a)), read_original(_run_dir(b))], only)


def verify(run: str | os.PathLike[str], *, manifest: str | None = None) -> Verification:
    """Whether a record is unchanged, its code to be had, its data as it was, and this environment equal.

    Parameters
    ----------
    run : path or str
        A run directory, or an id.
    manifest : str, optional
        The manifest's digest, from where it was kept.
    """
    return verify_run(_run_dir(run), manifest=manifest)


def _located(run: str | os.PathLike[str]) -> Located:
    here = Path.cwd()
    return resolve(os.fspath(run), known_places(project_of(here), cwd=here))


def _run_dir(run: str | os.PathLike[str]) -> Path:
    located = _located(run)
    if located.kind != "run":
        raise RecordError(f"{located.dir}: expected a run, found a sweep")
    return Path(located.dir)
