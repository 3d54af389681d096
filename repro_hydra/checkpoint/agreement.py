"""How the ranks of one run stop, and make their checkpoints, at the same boundary between two steps.

No rank may go beyond a boundary at which another one stops: that would wait for it in a collective for ever. So rank 0
decides, and promises ahead: up to boundary `promised` everything is decided, and what comes later than that is not.
A rank asks nobody as long as its boundary lies within the promise; beyond it, it waits for the next one. Whatever comes
up (a signal to any rank, the clock) is set for the first boundary that is not promised yet.

Nobody waits for long, and nobody in a circle: rank 0 waits for none, and another rank waits at a boundary only for
rank 0, which has all that it needs of this rank to come there. Where the ranks go step by step together, a promise of
one step ahead is always there in time; where steps are short it reaches further, and its price is spread over many.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from repro_hydra.checkpoint.errors import CheckpointError
from repro_hydra.checkpoint.file import Say
from repro_hydra.checkpoint.notice import Notice

AHEAD_S = 0.25
"""For about how long a promise holds; one step at least."""
AT_MOST = 10_000
WAIT_S = 1800.0
"""How long a rank waits for rank 0: as long as torch's collectives do by default."""
WRITE_S = 60.0
"""How long rank 0 tries again to write its promise; the others would wait for it."""
_TOLD = 1000
_ASKED = "asked-"


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """What rank 0 has decided. Boundaries are counted from 1, from the loop's entry on."""

    promised: int
    saves: list[int] = []
    """Boundaries at which a checkpoint is made because of the clock."""
    told_from: int = 0
    """`saves` is whole for the boundaries after this one."""
    stop: int | None = None
    """The boundary at which all make a checkpoint, and end."""
    reason: str | None = None
    last: int = 0
    """The boundary at which rank 0 came to the end of its loop."""
    epoch: tuple[int, int] | None = None
    """The epoch that rank 0 ended last, and at which boundary."""


_FIRST = Promise(promised=1)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What another rank tells rank 0."""

    reason: str


def first_promise(folder: Path) -> None:
    """Rank 0, before the others are let in: nobody stops at the first boundary.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    _notice(folder).write(_FIRST)


def _notice(folder: Path) -> Notice[Promise]:
    return Notice(folder / "promise", Promise)


@dataclass(frozen=True, slots=True)
class Decided:
    """For one boundary."""

    save: bool
    ends: str | None


class Agreement:
    """One rank's part in it.

    Parameters
    ----------
    folder : Path
        Shared by the ranks of this very attempt, and by nobody else.
    alive : callable
        Whether rank 0 is, as far as that can be told from here.
    clock, pause : callable
        Give seconds; wait for so many.
    ahead_s, wait_s, write_s : float
        `AHEAD_S`, `WAIT_S` and `WRITE_S`, others in tests.
    """

    def __init__(
        self,
        folder: Path,
        rank: int,
        *,
        say: Say,
        alive: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
        ahead_s: float = AHEAD_S,
        wait_s: float = WAIT_S,
        write_s: float = WRITE_S,
    ) -> None:
        self._folder = folder
        self._rank = rank
        self._say = say
        self._alive = alive
        self._clock, self._pause = clock, pause
        self._ahead_s, self._wait_s, self._write_s = ahead_s, wait_s, write_s
        self._notice = _notice(folder)
        self._promise = _FIRST
        self._at = 0
        self._epochs: dict[int, int] = {}
        self._ahead = 1
        self._published_at, self._published = 0, clock()
        self._has_asked = False

    def decide(self, *, asked: str | None, due: bool, epoch: int | None, last: bool) -> Decided:
        """The next boundary: what all ranks do there.

        Parameters
        ----------
        asked : str or None
            Why this process is to end.
        due : bool
            Whether the clock wants a checkpoint; rank 0's counts.
        epoch : int or None
            The one that ends here.
        last : bool
            The loop ends here.

        Raises
        ------
        CheckpointError
            Rank 0 is gone, or the ranks do not go through the same steps.
        """
        self._at += 1
        if epoch is not None:
            self._epochs[epoch] = self._at
        if self._rank == 0:
            self._lead(asked, due=due, epoch=epoch, last=last)
        else:
            self._follow(asked, last=last)
        promise = self._promise
        ends = promise.reason if promise.stop == self._at else None
        return Decided(ends is not None or self._at in promise.saves, ends)

    # ------------------------------------------------------------------ rank 0

    def _lead(self, asked: str | None, *, due: bool, epoch: int | None, last: bool) -> None:
        at, before = self._at, self._promise
        due = due and not any(save > at for save in before.saves)  # else it comes
        now = before if epoch is None else msgspec.structs.replace(before, epoch=(epoch, at))
        if before.stop is not None:
            if last and before.stop > at:  # no boundary comes after this one
                now = msgspec.structs.replace(now, stop=at)
        elif last or due or asked is not None or at + self._ahead // 2 >= before.promised:
            reason = asked if asked is not None else self._asked_by_others()
            if reason is not None:
                stop = at if last else before.promised + 1
                now = msgspec.structs.replace(
                    now, promised=max(stop, before.promised), stop=stop, reason=reason
                )
            elif not last:
                now = self._further(now, due=due)
        if last:
            now = msgspec.structs.replace(now, last=at)
        if now == msgspec.structs.replace(before, epoch=now.epoch):
            self._promise = now  # an epoch's end alone is told with the next promise
        else:
            self._publish(now)

    def _further(self, promise: Promise, *, due: bool) -> Promise:
        """The next promise, with a checkpoint as its first new boundary where one is due."""
        saves, told_from = promise.saves, promise.told_from
        promised = promise.promised
        if due:
            promised += 1
            saves = [*saves, promised]
        if len(saves) > _TOLD:
            told_from, saves = saves[-_TOLD - 1], saves[-_TOLD:]
        self._ahead = self._reach()
        return msgspec.structs.replace(
            promise, promised=max(promised, self._at + self._ahead), saves=saves, told_from=told_from
        )

    def _reach(self) -> int:
        """How many steps take about as long as a promise is to hold; it grows slowly.

        The end of an epoch comes right after its last step, and tells nothing of how long the next step takes.
        """
        steps, seconds = self._at - self._published_at, self._clock() - self._published
        if steps <= 0 or seconds <= 0:
            return self._ahead
        return max(1, min(AT_MOST, 2 * self._ahead, int(self._ahead_s * steps / seconds)))

    def _publish(self, promise: Promise) -> None:
        end = self._clock() + self._write_s
        while True:
            try:
                self._notice.write(promise)
                break
            except OSError as error:
                if self._clock() >= end:
                    raise CheckpointError(
                        f"{self._notice.path}: rank 0 could not tell the other ranks at which step they stop "
                        f"({error.strerror or error})"
                    ) from error
                self._pause(0.1)
        self._promise = promise
        self._published_at, self._published = self._at, self._clock()

    def _asked_by_others(self) -> str | None:
        for file in sorted(self._folder.glob(f"{_ASKED}*")):
            asked = Notice(file, Asked).read()
            if asked is not None:
                return asked.reason
        return None

    # ------------------------------------------------------------------ the others

    def _follow(self, asked: str | None, *, last: bool) -> None:
        if asked is not None and not self._has_asked:
            self._ask(asked)
        begun = looked = self._clock()
        pause_s = 0.0005
        while self._promise.promised < self._at or (last and self._promise.last < self._at):
            self._refuse_other_lengths()
            found = self._notice.read()
            if found is not None and found != self._promise:
                self._take(found)
                continue
            now = self._clock()
            if now - looked > 1.0:
                looked = now
                self._refuse_to_wait(now - begun)
            self._pause(pause_s)
            pause_s = min(2 * pause_s, 0.05)
        self._refuse_other_lengths()

    def _take(self, found: Promise) -> None:
        if found.told_from >= self._at:
            raise CheckpointError(
                f"rank {self._rank}: expected to be near rank 0, found it more than {_TOLD} checkpoints ahead"
            )
        self._promise = found

    def _refuse_other_lengths(self) -> None:
        """Ranks with other numbers of batches count other steps by the same number."""
        if self._promise.epoch is None:
            return
        epoch, boundary = self._promise.epoch
        mine = self._epochs.get(epoch)
        if mine == boundary or (mine is None and self._at < boundary):
            return
        here = f"after {mine}" if mine is not None else f"within it after {self._at}"
        raise CheckpointError(
            f"epoch {epoch}: expected as many batches on each rank, found rank 0 at the end of it after {boundary} "
            f"steps and rank {self._rank} {here} (ends of epochs counted). Give each rank as many: "
            "torch.utils.data.DistributedSampler"
        )

    def _ask(self, reason: str) -> None:
        try:
            Notice(self._folder / f"{_ASKED}{self._rank}", Asked).write(Asked(reason=reason))
        except OSError as error:
            self._say(
                f"{reason}: rank 0 could not be told ({error.strerror or error}); tried again after the next step"
            )
            return
        self._has_asked = True

    def _refuse_to_wait(self, waited_s: float) -> None:
        if not self._alive():
            raise CheckpointError(
                f"rank {self._rank}: rank 0 is gone, and with it whoever decides when all stop"
            )
        if waited_s > self._wait_s:
            raise CheckpointError(
                f"rank {self._rank}: rank 0 decided nothing for {waited_s:.0f} s, at which this rank has done "
                f"{self._at} steps: it hangs, is gone, or makes fewer steps"
            )
