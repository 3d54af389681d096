"""A training loader inside somebody else's loop: asking it for a batch is the boundary between two steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from repro_hydra.checkpoint import generators, loading

_OWN = frozenset({"loader", "_between", "_random", "_from", "_place"})


@dataclass(frozen=True, kw_only=True)
class Place:
    """How far an epoch of the loader is, and what it drew from when the epoch began and now."""

    batch: int
    began: dict[str, Any]
    """The process's generators before the loader was iterated over."""
    loader_began: list[Any]
    loader_now: list[Any]


class AskedFor:
    """The loader, which is iterated over when its first batch is asked for and not before.

    Everything else is the loader's own: its length, its sampler, what is set on it.

    Parameters
    ----------
    loader : iterable
        A DataLoader, or whatever else gives an epoch's batches.
    between : callable
        Told how many of the epoch's batches are done, before each but the first is asked for. Whatever happened in the
        step before has happened, and nothing of the next step.
    take_random, put_random : callable
        For the generators of the process.
    """

    def __init__(
        self,
        loader: Any,
        between: Callable[[int], None],
        take_random: Callable[[], dict[str, Any]],
        put_random: Callable[[dict[str, Any]], None],
    ) -> None:
        self.loader = loader
        self._between = between
        self._from: tuple[Place, dict[str, Any], Callable[[], None]] | None = None
        self._place: Callable[[], Place] | None = None
        self._random = take_random, put_random

    def begin_at(self, place: Place, now: dict[str, Any], there: Callable[[], None]) -> None:
        """The next epoch goes on from `place`; `there` is called when loader and generators are where they were."""
        self._from = (place, now, there)

    def place(self) -> Place:
        """Where the epoch under way stands."""
        assert self._place is not None, "no epoch is under way"
        return self._place()

    def __iter__(self) -> Iterator[Any]:
        take, put = self._random
        drawn_from = loading.generators_of(self.loader)
        resumed, self._from = self._from, None
        done = 0
        if resumed is not None:
            place, now, there = resumed
            done = place.batch
            put(place.began)
            _put_all(drawn_from, place.loader_began)
        began, loader_began = take(), [generators.take(each) for each in drawn_from]
        iterator = loading.batches_from(self.loader, done)
        if resumed is not None:
            put(now)
            _put_all(drawn_from, place.loader_now)
            there()

        def standing() -> Place:
            return Place(
                batch=done,
                began=began,
                loader_began=loader_began,
                loader_now=[generators.take(each) for each in drawn_from],
            )

        self._place = standing
        for batch in iterator:
            yield batch
            done += 1
            self._between(done)

    def __len__(self) -> int:
        return len(self.loader)

    def __getattr__(self, name: str) -> Any:
        if name in _OWN:  # not made yet: a copy, or one that is unpickled
            raise AttributeError(name)
        return getattr(self.loader, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN:
            object.__setattr__(self, name, value)
        else:
            setattr(self.loader, name, value)

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the place is kept with the checkpoint (Lightning asks every loader that has a state for it)."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing, as above."""


def _put_all(drawn_from: list[Any], states: list[Any]) -> None:
    for generator, state in zip(drawn_from, states, strict=True):
        generators.put(generator, state)
