"""A loop in several processes: they decide together, and each waits for the others' parts before it ends."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable

from repro_hydra.checkpoint import preemption
from repro_hydra.checkpoint.agreement import Agreement
from repro_hydra.checkpoint.boundary import Verdict
from repro_hydra.checkpoint.position import Position, Schedule
from repro_hydra.checkpoint.rank_sets import RankShelf

PARTS_S = 20.0
"""How long a rank that is about to end waits for the others' parts: whoever ends first may take the others with it.

Not longer: torchrun, and Slurm (KillWait), kill what has not ended 30 s after it was told to; no record then says how.
"""


class Together:
    """`boundary.Boundaries` for one of several ranks."""

    def __init__(
        self,
        schedule: Schedule,
        agreement: Agreement,
        shelf: RankShelf,
        *,
        parts_s: float = PARTS_S,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._schedule = schedule
        self._agreement = agreement
        self._shelf = shelf
        self._parts_s, self._pause = parts_s, pause

    def at(self, position: Position, *, last: bool, epoch_ends: bool) -> Verdict:
        by_count = last or self._schedule.due_by_count(position, epoch_ends=epoch_ends)
        decided = self._agreement.decide(
            asked=preemption.requested(),
            due=not by_count and self._schedule.due_by_clock(),
            epoch=position.epoch - 1 if epoch_ends else None,
            last=last,
        )
        save = by_count or decided.save
        if save:
            self._shelf.next_set(position.step)
        return Verdict(save, decided.ends)

    def saved(self) -> None:
        self._schedule.saved()

    def before_the_end(self) -> str | None:
        end = time.monotonic() + self._parts_s
        if self._shelf.rank in self._shelf.missing():
            return (
                "this rank's part could not be written, so the set is not whole, and the one before it counts"
            )
        while missing := self._shelf.missing():
            if time.monotonic() > end:
                named = ", ".join(f"rank {rank}" for rank in missing)
                return (
                    f"no part of {named} came within {self._parts_s:.0f} s, so the set is not whole, and the one "
                    "before it counts"
                )
            self._pause(0.02)
        return None


def sums_in_another_order(world: int) -> str | None:
    """Why the first step after a restart adds gradients in another order; None where it does not, or nobody knows.

    `DistributedDataParallel` arranges its buckets anew after its first backward pass, and with three ranks or more the
    place within a bucket decides in which order a sum is made. After a restart one step has the first arrangement.
    """
    parallel = getattr(sys.modules.get("torch.nn.parallel"), "DistributedDataParallel", None)
    if world < 3 or parallel is None:
        return None
    for thing in gc.get_objects():
        if issubclass(type(thing), parallel) and not thing.find_unused_parameters:
            return (
                f"DistributedDataParallel on {world} ranks adds gradients in another order in its first step, which a "
                "restart makes once more. Give it find_unused_parameters=True: then all steps add in one order"
            )
    return None
