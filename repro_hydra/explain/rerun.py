"""`explain RUN --rerun`: the run is made again, until it is known whether it differs from itself.

One rerun is held against the original. Where they differ, two reruns that are looked at tensor by tensor are held
against each other: if those differ, the run is unsteady, and they name the tensor; if they are equal, what differs is
something that was otherwise when the original ran.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from repro_hydra.explain.document import Explanation
from repro_hydra.explain.pair import explain_pair
from repro_hydra.record.reproduction import PlacedCause
from repro_hydra.reproduce.again import Lacking, NotConfirmed, made_again
from repro_hydra.reproduce.fingerprints import takes_steps_only
from repro_hydra.reproduce.original import Original, read_original
from repro_hydra.reproduce.prepared import Prepared
from repro_hydra.reproduce.workshop import Workshop
from repro_hydra.session.recorded import Watch

_WHOLE = Watch(whole=True)


class Reruns:
    """New runs of one recorded job, each in a scratch tree as its commit has it, at the same place.

    Raises
    ------
    RecordError
        There is no run in `run_dir`.
    Lacking
        It cannot be made again; all that stands in the way.
    NotConfirmed
        Nobody vouches for the record, and nobody said that it may be run.
    """

    def __init__(self, run_dir: Path, workshop: Workshop) -> None:
        self.original = read_original(run_dir)
        self.made: list[Original] = []
        self._workshop = workshop
        self._prepared = Prepared(self.original, workshop)
        missing = self._prepared.gather()
        if missing:
            raise Lacking(missing)
        if not workshop.confirm(self._prepared.command.shown(), self._prepared.trust):
            raise NotConfirmed(self._prepared.trust.reason)

    def make(self, watch: Watch | None) -> Original:
        """Run the job once more.

        Raises
        ------
        Lacking
        OSError
            There is no place for the new run.
        """
        self._workshop.clear()  # what one run left in its tree is not there for the next
        missing = self._prepared.set_up()
        if missing:
            raise Lacking(missing)
        directory = self._workshop.new_directory(self.original)
        ended = self._prepared.run(directory, watch)
        self.made.append(made_again(self._prepared, directory, ended))
        return self.made[-1]


def explain_rerun(run_dir: Path, workshop: Workshop, environ: Mapping[str, str]) -> Explanation:
    """Why a run does not come out again as it did, by running it again.

    Raises
    ------
    RecordError, NotConfirmed, OSError
        As `Reruns`.
    """
    try:
        reruns = Reruns(run_dir, workshop)
        return _explained(reruns, environ)
    except Lacking as error:
        return _impossible(run_dir, error.missing)


def _explained(reruns: Reruns, environ: Mapping[str, str]) -> Explanation:
    original = reruns.original
    # Digests of parts of tensors are compared with digests of the same parts only.
    watch = None if takes_steps_only(original) else _WHOLE
    first = reruns.make(watch)
    against_original = explain_pair(original, first, environ)
    if against_original.equal:
        headline = f"the run comes out again as it did: {against_original.headline}"
        return _answer(reruns, against_original, headline, unsteady=None)
    before = first if watch is not None else reruns.make(_WHOLE)
    against_itself = explain_pair(before, reruns.make(_WHOLE), environ, of_one=True)
    if against_itself.equal:
        headline = (
            "two reruns are equal, and the original is not: something was otherwise when it ran. Original and rerun: "
            f"{against_original.headline}"
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
