"""A Lightning Trainer that is interrupted without harm: it goes on with the same bits.

Imports Lightning, so nothing of the package imports this module.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.version import Version

if TYPE_CHECKING:
    from lightning.pytorch import Callback, LightningModule
else:
    try:
        from lightning.pytorch import Callback, LightningModule
    except ImportError:  # the same under its older name
        from pytorch_lightning import Callback, LightningModule

from repro_hydra.checkpoint import generators, loading, preemption
from repro_hydra.checkpoint.asked_for import AskedFor, Place
from repro_hydra.checkpoint.errors import CheckpointError
from repro_hydra.checkpoint.file import read_checkpoint
from repro_hydra.checkpoint.plain import from_plain
from repro_hydra.checkpoint.position import Position, Schedule
from repro_hydra.checkpoint.shelf import Kept
from repro_hydra.checkpoint.trainer_state import TrainerState
from repro_hydra.patches import Patches
from repro_hydra.session.resume import next_name, shelf_of, surroundings
from repro_hydra.session.session import active_session

__all__ = ["Resumable"]
_OLDEST = "2.6"


class Resumable(Callback):  # type: ignore[misc, unused-ignore]
    """Makes checkpoints of a whole Trainer, and lets it go on from them.

    While it trains, ``USR1``, ``USR2`` and ``TERM`` make a checkpoint at the next step boundary and then end the
    process by `repro_hydra.checkpoint.preemption.Preempted`. Put it first among the callbacks.

    Parameters
    ----------
    directory : path, optional
        Where the checkpoints are; by default in the record of the run that this process is in.
    name : str, optional
        Tells several trainings of one run apart; by default they are numbered in the order in which this is called.
        Each training has one of its own.
    every_epochs, every_steps, every_s : int, int, float, optional
        A checkpoint after so many epochs, optimizer steps or seconds, whichever comes first; None for never.
    keep : int
        How many checkpoints stay.
    gradients : bool
        Keep gradients that are not yet applied, for manual optimization across batches.

    Raises
    ------
    ValueError
        Outside of a run without `directory`, or within one with it.

    Examples
    --------
    >>> resumable = Resumable()  # doctest: +SKIP
    >>> trainer = Trainer(max_epochs=10, callbacks=[resumable])  # doctest: +SKIP
    >>> trainer.fit(model, loader, ckpt_path=resumable.ckpt_path)  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        directory: str | Path | None = None,
        name: str | None = None,
        every_epochs: int | None = 1,
        every_steps: int | None = None,
        every_s: float | None = 600.0,
        keep: int = 2,
        gradients: bool = True,
    ) -> None:
        session = active_session()
        place, self._shelf = shelf_of(session, directory, keep=keep, asking="Resumable")
        self._around = surroundings(session)
        self._name = name if name is not None else f"trainer-{next_name(place)}"
        self._gradients = gradients
        self._schedule = Schedule(
            every_epochs=every_epochs, every_steps=every_steps, every_s=every_s, clock=time.monotonic
        )
        self._kept: Kept | None = None
        self._payload: dict[str, Any] | None = None
        self._state: TrainerState | None = None
        self._trainer: Any = None
        self._while_it_trains = ExitStack()

    @property
    def ckpt_path(self) -> str | None:
        """For ``trainer.fit(…, ckpt_path=…)``: the newest checkpoint that is whole, or None."""
        self._kept = None if self._shelf is None else self._shelf.newest(self._name)
        return None if self._kept is None else os.fspath(self._kept.path)

    # ------------------------------------------------------------------ Lightning's hooks

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Stand between the Trainer and its training loaders, and between it and our checkpoints' files."""
        if stage != "fit":
            return
        if trainer.world_size > 1:
            raise CheckpointError(
                f"Resumable: expected a Trainer of one process, found {trainer.world_size}, which it cannot stop at "
                "one step yet. Use Lightning's ModelCheckpoint"
            )
        _refuse_older_lightning()
        self._payload = None
        self._trainer = trainer
        process, load = trainer.strategy.process_dataloader, trainer.strategy.load_checkpoint
        patches = Patches()
        self._while_it_trains.callback(patches.undo)
        patches.attribute(
            trainer.strategy, "process_dataloader", lambda loader: self._watched(process(loader))
        )
        patches.attribute(
            trainer.strategy, "load_checkpoint", lambda path, *a, **k: self._read(load, path, *a, **k)
        )

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Put back what Lightning has not, and listen to signals in Lightning's place."""
        self._state = TrainerState(
            trainer, pl_module, set(vars(LightningModule())), self._gradients, self._lost
        )
        payload = self._payload
        if payload is None and self.ckpt_path is not None:
            raise CheckpointError(
                f"trainer.fit: expected ckpt_path={self.ckpt_path}, where an interrupted attempt stopped, found "
                "another or none. Write: trainer.fit(…, ckpt_path=resumable.ckpt_path), with a Resumable for each fit"
            )
        if payload is None:
            self._state.take(epoch_begins=False)  # what cannot be kept is told now, not after the first epoch
        else:
            self._put_back(trainer, payload)
        if not self._while_it_trains.enter_context(preemption.listening()):
            self._around.say("Resumable: entered outside of the main thread, so signals are not heard")

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """The boundary between two epochs."""
        self._around.in_round(True)
        if not self._asks_one_by_one(trainer):
            self._around.not_exact(
                "loader-ahead",
                "Lightning asks a loader without a length, or by dataloader_iter, for batches ahead of the step: after "
                "a restart others may come. Give the dataset a length, and training_step a batch",
            )
        payload = self._payload
        if payload is not None and payload["place"] is None:
            self._put_random(payload["random"])
            self._went_on()
        elif trainer.current_epoch or preemption.requested() is not None:
            self._boundary(Position(step=trainer.global_step, epoch=trainer.current_epoch), epoch_ends=True)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Streams that were made within the epoch have had their time."""
        self._around.in_round(False)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """A signal that came after the last boundary still ends the process."""
        self._while_it_trains.close()
        asked = preemption.requested()
        if asked is not None:
            self._around.say(
                f"{asked}: no checkpoint is made behind the last epoch; it goes on from the one before"
            )
            raise preemption.Preempted(asked)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Leave everything as it was."""
        self._while_it_trains.close()

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Leave everything as it was."""
        self._while_it_trains.close()
        self._trainer = self._state = None

    # ------------------------------------------------------------------ the boundaries

    def _watched(self, loader: Any) -> Any:
        if not self._trainer.training:
            return loader
        reason = loading.outlives_its_epoch(loader)
        if reason is not None:
            self._around.not_exact("workers", reason)
        watched = AskedFor(loader, self._between_batches, self._take_random, self._put_random)
        payload = self._payload
        if payload is not None and payload["place"] is not None:
            watched.begin_at(Place(**payload["place"]), payload["random"], self._went_on)
        return watched

    def _between_batches(self, done: int) -> None:
        """Before a batch is asked for: a checkpoint where one is due, unless Lightning would not come back to here."""
        trainer = self._trainer
        validated = trainer.val_check_batch
        if (
            len(self._loaders) != 1
            or not self._asks_one_by_one(trainer)
            or not trainer.training
            or trainer.fit_loop._should_accumulate()
            or done >= trainer.num_training_batches
            or validated is None
            or self._counted(trainer, done) % validated == 0
        ):
            return
        self._boundary(
            Position(step=trainer.global_step, epoch=trainer.current_epoch, loop=0, batch=done),
            epoch_ends=False,
        )

    @property
    def _loaders(self) -> list[Any]:
        """Those in use: Lightning may make them anew every few epochs."""
        return list(self._trainer.fit_loop._combined_loader.flattened)

    def _asks_one_by_one(self, trainer: Any) -> bool:
        """Whether Lightning asks for a batch when the step before is done, and not earlier."""
        fetcher = trainer.fit_loop._data_fetcher
        return type(fetcher).__name__ == "_PrefetchDataFetcher" and fetcher.length is not None

    def _counted(self, trainer: Any, done: int) -> int:
        """The batches by which Lightning tells whether it has just validated."""
        return int(
            done if trainer.check_val_every_n_epoch is not None else trainer.fit_loop.total_batch_idx + 1
        )

    def _boundary(self, position: Position, *, epoch_ends: bool) -> None:
        asked = preemption.requested()
        saved = (asked is not None or self._schedule.due(position, epoch_ends=epoch_ends)) and self._save(
            position
        )
        if asked is not None:
            made = f"a checkpoint was made at {position}" if saved else "no checkpoint could be made"
            self._around.say(f"{asked}: {made}; the process ends here")
            raise preemption.Preempted(asked)

    # ------------------------------------------------------------------ to and from the disk

    def _save(self, position: Position) -> bool:
        """Whether it could be written."""
        state = self._state
        if self._shelf is None or state is None:
            return False

        def take() -> dict[str, Any]:
            return {
                "position": position.as_plain(),
                "place": None if position.loop is None else asdict(self._loaders[0].place()),
                "random": self._take_random(),
                "trainer": state.take(epoch_begins=position.loop is None),
            }

        saved = self._around.save(self._shelf, self._name, position, take)
        if saved:
            self._schedule.saved()
        return saved

    def _read(self, load: Callable[..., Any], path: Any, *arguments: Any, **more: Any) -> Any:
        """Our checkpoints are read by us: their digest is verified, and nothing but plain data is unpickled."""
        if self._kept is None or Path(path) != self._kept.path:
            return load(path, *arguments, **more)
        _, self._payload = read_checkpoint(self._kept.path)
        if "trainer" not in self._payload:
            raise CheckpointError(f"{path}: expected a Trainer's checkpoint, found another loop's")
        return from_plain(self._payload["trainer"]["lightning"])

    def _put_back(self, trainer: Any, payload: dict[str, Any]) -> None:
        assert self._kept is not None
        assert self._shelf is not None
        if payload["place"] is None:
            # With max_steps Lightning takes every restart for one within an epoch.
            trainer.fit_loop._restarting = False
            trainer.fit_loop.epoch_loop.restarting = False
        self._shelf.drop_after(self._kept)
        self._around.restored(self._kept, Position.of(payload["position"]))

    def _went_on(self) -> None:
        """From here on no line runs that ran before; the hooks that make a module ready for training have run."""
        assert self._state is not None
        assert self._payload is not None
        self._state.put(self._payload["trainer"])
        # Lightning would leave out the epoch's step of a scheduler that follows a metric: it does not keep those.
        self._trainer.fit_loop._restarting = False
        self._payload = None
        self._around.in_round(True)
        self._around.continued()

    def _take_random(self) -> dict[str, Any]:
        return {"global": generators.take_global(), "streams": self._around.take_streams()}

    def _put_random(self, state: dict[str, Any]) -> None:
        generators.put_global(state["global"])
        self._around.put_streams(state["streams"])

    def _lost(self, name: str, kind: str) -> None:
        self._around.not_exact(
            f"variable-{name}",
            f"{name} ({kind}): no checkpoint can hold where it stands, so a restart would begin it anew. Give it "
            "state_dict() and load_state_dict() of plain values",
        )


def _refuse_older_lightning() -> None:
    """Its loops count otherwise when they are entered again."""
    name = LightningModule.__module__.partition(".")[0]
    found = version(name)
    if Version(found) < Version(_OLDEST):
        raise CheckpointError(
            f"Resumable: expected {name} {_OLDEST} or newer, found {found}. Run: pip install '{name}>={_OLDEST}'"
        )
