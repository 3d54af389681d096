"""New runs of one recorded job, as alike as they can be made."""

from __future__ import annotations

from pathlib import Path

from repro_hydra.reproduce.again import Lacking, NotConfirmed, made_again
from repro_hydra.reproduce.original import Original, read_original
from repro_hydra.reproduce.prepared import Prepared
from repro_hydra.reproduce.workshop import Workshop
from repro_hydra.session.recorded import Watch

WHOLE = Watch()
"""Fingerprints of every tensor, whatever the run's own options say."""


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
        self.ignore = workshop.asked.judgement.ignore
        """Patterns of files and metrics that are not compared."""
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
