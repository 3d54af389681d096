"""`explain RUN --rerun`: the run is made again, until it is known whether it differs from itself.

One rerun is held against the original. Where they differ, two reruns that are looked at tensor by tensor are held
against each other: if those differ, the run is unsteady, and they name the tensor; if they are equal, what differs is
something that was otherwise when the original ran.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from repro_hydra.explain.bisect import bisected
from repro_hydra.explain.document import Explanation
from repro_hydra.explain.pair import explain_pair, explain_parting
from repro_hydra.explain.parting import parting_of
from repro_hydra.explain.reruns import WHOLE, Reruns
from repro_hydra.record.reproduction import PlacedCause
from repro_hydra.reproduce.again import Lacking
from repro_hydra.reproduce.fingerprints import read_whole, taken_as
from repro_hydra.reproduce.workshop import Workshop


def explain_rerun(
    run_dir: Path, workshop: Workshop, environ: Mapping[str, str], *, bisect: bool = False
) -> Explanation:
    """Why a run does not come out again as it did, by running it again.

    Parameters
    ----------
    bisect : bool
        Find the operator too.

    Raises
    ------
    RecordError, NotConfirmed, OSError
        As `Reruns`.
    """
    try:
        reruns = Reruns(run_dir, workshop)
        return explained_by(reruns, workshop.scratch, environ, bisect=bisect)
    except Lacking as error:
        return _impossible(run_dir, error.missing)


def explained_by(reruns: Reruns, scratch: Path, environ: Mapping[str, str], *, bisect: bool) -> Explanation:
    """As `explain_rerun`, with reruns of a run that can be made again.

    Parameters
    ----------
    scratch : Path
        A folder for what `bisect` writes down.

    Raises
    ------
    Lacking, OSError
        As `Reruns.make`.
    """
    original = reruns.original
    # As the original took its own, that they can be compared; all of them where it took none.
    first = reruns.make(WHOLE if taken_as(original).level == "off" else None)
    parting = parting_of(original, first, reruns.ignore)
    against_original = explain_parting(original, first, parting, environ)
    if against_original.equal:
        headline = f"the run comes out again as it did: {against_original.headline}"
        return _answer(reruns, against_original, headline, unsteady=None)
    if bisect:
        against_itself = bisected(reruns, parting.first, scratch, environ)
    else:
        before = first if read_whole(first) else reruns.make(WHOLE)
        again = reruns.make(WHOLE)
        against_itself = explain_pair(before, again, environ, ignore=reruns.ignore, of_one=True)
    if against_itself.equal:
        headline = (
            "reruns are equal, and the original is not: something was otherwise when it ran. Original and rerun: "
            f"{against_original.headline}"
        )
        against_original = msgspec.structs.replace(
            against_original, operator_why_not=against_itself.operator_why_not
        )
        return _answer(reruns, against_original, headline, unsteady=False)
    headline = f"the run differs from itself, and so from the original. Two reruns: {against_itself.headline}"
    return _answer(reruns, against_itself, headline, unsteady=True)


def _answer(reruns: Reruns, answer: Explanation, headline: str, *, unsteady: bool | None) -> Explanation:
    return msgspec.structs.replace(
        answer,
        headline=headline,
        original=str(reruns.original.dir),
        reruns=[str(made.dir) for made in reruns.made],
        unsteady=unsteady,
    )


def _impossible(run_dir: Path, missing: list[str]) -> Explanation:
    return Explanation(
        equal=False,
        headline="the run cannot be made again, so nothing was compared",
        a=str(run_dir),
        b="",
        original=str(run_dir),
        causes=[PlacedCause(area=text.partition(":")[0], detail=text) for text in missing],
    )
