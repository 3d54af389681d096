"""A training loop that can be left at any step boundary and entered there again with the same bits."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from repro_hydra.checkpoint import generators, loading, objects, preemption
from repro_hydra.checkpoint.boundary import Boundaries
from repro_hydra.checkpoint.counters import counters_around
from repro_hydra.checkpoint.errors import CheckpointError
from repro_hydra.checkpoint.leaving import Leaving
from repro_hydra.checkpoint.position import Position
from repro_hydra.checkpoint.saved import Saved
from repro_hydra.checkpoint.shelf import Kept
from repro_hydra.checkpoint.surroundings import Saving, Surroundings
from repro_hydra.checkpoint.variables import Variables

T = TypeVar("T")


class Resumable:
    """The state of a training loop; made by `repro_hydra.resumable`.

    Attributes
    ----------
    step : int
        Batches done so far, over all epochs.
    epoch : int
        The epoch under way, from 0.
    """

    def __init__(
        self,
        tracked: Mapping[str, Any],
        *,
        name: str,
        shelf: Saving | None,
        boundaries: Boundaries,
        surroundings: Surroundings,
        variables: Variables,
        listener: preemption.Listener | None,
        gradients: bool = True,
    ) -> None:
        objects.check_objects(tracked)
        objects.take(
            tracked, gradients=gradients
        )  # what cannot be kept is told now, not after the first epoch
        self._tracked = dict(tracked)
        self._name = name
        self._shelf = shelf
        self._boundaries = boundaries
        self._around = surroundings
        self._variables = variables
        self._gradients = gradients
        self.leaving = Leaving(boundaries, surroundings.say, listener or preemption.Listener())
        self._saved: Saved | None = None
        self._random: dict[str, Any] = {}
        self._loops = 0
        self._drawn_from: list[Any] = []
        self._given_out: Callable[[], Any] = lambda: None
        self._looked = False
        self._resumed = False
        self._position = Position(step=0, epoch=0)
        self._in_rounds = False
        self._finished_loops_outside = 0

    # ------------------------------------------------------------------ what the user sees

    @property
    def name(self) -> str:
        """Which of the run's loops it is."""
        return self._name

    @property
    def step(self) -> int:
        return self._position.step

    @property
    def epoch(self) -> int:
        return self._position.epoch

    @property
    def resumed(self) -> bool:
        """Whether this attempt began from a checkpoint."""
        return self._resumed

    def epochs(self, total: int) -> Iterator[int]:
        """``range(total)``, from where the checkpoint left it."""
        return self._rounds(total, counts_steps=False)

    def steps(self, total: int) -> Iterator[int]:
        """The same for a loop without batches (reinforcement learning, a solver): each round is a step."""
        return self._rounds(total, counts_steps=True)

    def batches(self, loader: Iterable[T]) -> Iterator[T]:
        """The loader's batches, from the one at which the checkpoint left the epoch.

        Within `epochs`; alone where there is one epoch only.
        """
        if not self._in_rounds:
            if self._finished_loops_outside:
                raise RuntimeError(
                    "state.batches: expected one loop over batches outside of epochs, found a second. "
                    "Write: for epoch in state.epochs(n): for batch in state.batches(loader): …"
                )
            self._finished_loops_outside += 1
        batches = self._batches(loader)
        self._given_out = weakref.ref(batches)
        return batches

    def enumerate(self, loader: Iterable[T], start: int = 0) -> Iterator[tuple[int, T]]:
        """``enumerate(loader)``, counting on from the checkpoint; `enumerate` itself would begin anew."""
        for batch in self.batches(loader):
            yield start + self._position.batch, batch

    # ------------------------------------------------------------------ going through

    def _rounds(self, total: int, *, counts_steps: bool) -> Iterator[int]:
        if self._in_rounds:
            raise RuntimeError("state.epochs: expected one loop over epochs, found another one within it")
        self._in_rounds = self.leaving.boundary_ahead = True
        saved = self._saved
        if saved is not None:
            self._put_back(saved, "now" if saved.position.loop is None else "epoch")
            if saved.position.loop is None:
                self._continue_from(saved)
        try:
            for epoch in range(self._position.epoch, total):
                self._loops = 0
                self._around.in_round(True)
                self._random["epoch"] = self._take_random()
                yield epoch
                if self._saved is not None:
                    raise CheckpointError(
                        f"{self._name}: the checkpoint was made within loop {self._saved.position.loop} over the "
                        f"batches of epoch {epoch}, and this epoch ended without it: the code differs"
                    )
                self._around.in_round(False)
                step = self._position.step + (1 if counts_steps else 0)
                self._boundary(
                    Position(step=step, epoch=epoch + 1), last=epoch + 1 == total, epoch_ends=not counts_steps
                )
            self.leaving.behind_the_last_boundary()
        finally:
            self._in_rounds = self.leaving.boundary_ahead = False
            self._around.in_round(False)

    def _batches(self, loader: Iterable[T]) -> Iterator[T]:
        loop = self._loops
        self._loops += 1
        saved = self._saved
        reason = loading.outlives_its_epoch(loader)
        if reason is not None:
            self._around.not_exact("workers", reason)
        if saved is not None and saved.position.loop is not None and loop < saved.position.loop:
            return  # done before the checkpoint
        drawn_from = loading.generators_of(loader)
        if saved is None:
            self._position = Position(step=self._position.step, epoch=self._position.epoch, loop=loop)
        else:
            self._put_back(saved, "loop")
            for generator, state in zip(drawn_from, saved.random["loader"], strict=True):
                generators.put(generator, state)
            self._position = saved.position
        self._random["loop"] = self._take_random()
        self._random["loader"] = [generators.take(generator) for generator in drawn_from]
        loading.set_epoch(loader, self._position.epoch)
        iterator = loading.batches_from(loader, self._position.batch)
        if saved is not None:
            self._put_back(saved, "now")
            for generator, state in zip(drawn_from, saved.random["loader_now"], strict=True):
                generators.put(generator, state)
            self._continue_from(saved)
        self._drawn_from = drawn_from
        self._look_around()
        self.leaving.boundary_ahead = True
        began_at = self._position
        try:
            for batch in iterator:
                # Held by nobody here: memory that was pinned for a device must not outlive its step in a frame of ours,
                # for in the next epoch's workers, which are forked, its end would be theirs.
                handed = [batch]
                del batch
                yield handed.pop()
                before = self._position
                self._boundary(
                    Position(step=before.step + 1, epoch=before.epoch, loop=loop, batch=before.batch + 1)
                )
            if not self._in_rounds:
                if self._position != began_at:  # else it ended there in an earlier attempt
                    self._boundary(self._position, last=True)
                self.leaving.behind_the_last_boundary()
        finally:
            self.leaving.boundary_ahead = self._in_rounds

    def _look_around(self) -> None:
        """Tell of a counter around the batches: it has begun anew, and nobody can set it."""
        batches = self._given_out()
        if batches is None or self._looked:
            return
        self._looked = True  # once: the look goes through every object of the process
        for name, message in counters_around(batches):
            self._around.not_exact(name, message)

    def _boundary(self, position: Position, *, last: bool = False, epoch_ends: bool = False) -> None:
        """Between two steps: a checkpoint where one is due, and the end where somebody asked for it."""
        self._position = position
        verdict = self._boundaries.at(position, last=last, epoch_ends=epoch_ends)
        saved = verdict.save and self._save()
        if verdict.ends is not None:
            self.leaving.at_boundary(verdict.ends, position, saved=saved)

    # ------------------------------------------------------------------ to and from the disk

    def restore(self, kept: Kept) -> None:
        """Put the objects back as `kept` has them; the rest follows where the loop is entered.

        Raises
        ------
        CheckpointError
            It cannot be read, or does not fit.
        """
        saved = Saved.read(kept)
        try:
            objects.put(self._tracked, saved.objects)
        except CheckpointError as error:
            raise CheckpointError(f"{kept.path}: {error}") from None
        self._saved = saved
        self._position = Position(step=saved.position.step, epoch=saved.position.epoch)
        self._resumed = True
        self.leaving.kept_at = saved.position
        if self._shelf is not None:
            self._shelf.drop_after(kept)
        self._around.restored(kept, saved.position)

    def _put_back(self, saved: Saved, moment: str) -> None:
        objects.put(self._tracked, saved.objects)
        self._put_random(saved.random[moment])

    def _continue_from(self, saved: Saved) -> None:
        """From here on no line runs that ran before."""
        self._variables.put(saved.variables)
        self._around.continued()
        self._saved = None
        self._random = {
            "epoch": saved.random["epoch"],
            "loop": saved.random["loop"],
            "loader": saved.random["loader"],
        }

    def _save(self) -> bool:
        """Whether it could be written."""
        if self._shelf is None:
            return False
        saved = self._around.save(self._shelf, self._name, self._position, self._payload)
        if saved:
            self._boundaries.saved()
            self.leaving.saved(self._position)
        return saved

    def _payload(self) -> dict[str, Any]:
        position = self._position
        loader_now = [] if position.loop is None else [generators.take(each) for each in self._drawn_from]
        now = self._take_random()
        return {
            "position": position.as_plain(),
            "objects": objects.take(self._tracked, gradients=self._gradients),
            "random": {
                "epoch": self._random.get("epoch", now),
                "loop": self._random.get("loop", now),
                "loader": self._random.get("loader", []),
                "now": now,
                "loader_now": loader_now,
            },
            "variables": self._variables.take(),
        }

    def _take_random(self) -> dict[str, Any]:
        return {"global": generators.take_global(), "streams": self._around.take_streams()}

    def _put_random(self, state: Mapping[str, Any]) -> None:
        generators.put_global(state["global"])
        self._around.put_streams(state["streams"])
