"""The seeds of one job: chosen before anything else, set last before the task, read back from each library."""

from __future__ import annotations

from contextlib import ExitStack

from repro_hydra.imports import LateImports
from repro_hydra.record.schema import SEEDED, Finding
from repro_hydra.seed import (
    ChosenSeeds,
    SeedError,
    choose_seeds,
    read_back,
    seed_libraries,
)
from repro_hydra.seed.forked import seeded_in_forks
from repro_hydra.seed.streams import streams_of
from repro_hydra.session.findings import Misuse
from repro_hydra.session.ledger import Ledger, plain

_READ_FROM = {"python": ("python",), "numpy": ("numpy",), "torch": ("torch", "cuda"), "tensorflow": ()}


class JobSeeds:
    """What is set, and what each library then answers.

    Attributes
    ----------
    chosen : ChosenSeeds or None
        None where no seed is set.
    set : dict
        The seed of each library as read back; null where it was not set, or the library not imported.

    Raises
    ------
    Misuse
        For a seed that is none.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.set: dict[str, int | None] = dict.fromkeys(SEEDED)
        self.chosen = self._choose()

    def _choose(self) -> ChosenSeeds | None:
        ledger = self._ledger
        options = ledger.plan.options.seed
        configured = ledger.job.configured_seed(options.key)
        if not options.set:
            ledger.change(seed=plain(configured), seed_set=False)
            return None
        try:
            chosen = choose_seeds(options, configured, rank=ledger.run.rank)
        except SeedError as error:
            raise Misuse(str(error)) from None
        if chosen.defaulted:
            ledger.findings.append(
                Finding(
                    id="seed-defaulted",
                    severity="harmless",
                    message=(
                        f"{options.key}: the config has no seed there, so the default {chosen.seed} is set. "
                        f"Give one: +{options.key}=0, or name its key: hydra.callbacks.repro.seed.key=KEY"
                    ),
                )
            )
        ledger.change(seed=chosen.seed, seed_set=True)
        return chosen

    def put_in_force(self, late: LateImports, stack: ExitStack) -> set[int]:
        """Seed what is imported now, and the rest when it is; the values that were set come back."""
        chosen = self.chosen
        if chosen is None:
            return set()
        stack.enter_context(streams_of(chosen.seed, self._ledger.run.rank))
        stack.enter_context(seeded_in_forks(chosen.python))

        def read(library: str) -> None:
            answers = read_back(chosen)
            self.set |= {name: value for name, value in answers.items() if name in _READ_FROM[library]}

        seed_libraries(chosen, late.when_imported, read)
        self._ledger.save(seeds=self.set)
        return {chosen.seed, chosen.python, chosen.numpy, chosen.torch, chosen.cuda}
