"""How a loop is left because somebody asks for it: at a boundary between two steps, or behind the last one."""

from __future__ import annotations

from repro_hydra.checkpoint import preemption
from repro_hydra.checkpoint.boundary import Boundaries
from repro_hydra.checkpoint.file import Say
from repro_hydra.checkpoint.position import Position


class Leaving:
    """For one loop.

    Parameters
    ----------
    listener : Listener
        Hears the signals while the loop lasts.

    Attributes
    ----------
    kept_at : Position or None
        Where the checkpoint stands that the loop goes on from when it is started again.
    """

    def __init__(self, boundaries: Boundaries, say: Say, listener: preemption.Listener) -> None:
        self._boundaries = boundaries
        self._say = say
        self._listener = listener
        self.kept_at: Position | None = None
        self._made_one = False

    @property
    def boundary_ahead(self) -> bool:
        """Whether whoever asks is to wait for a boundary."""
        return self._listener.boundary_ahead

    @boundary_ahead.setter
    def boundary_ahead(self, ahead: bool) -> None:
        self._listener.boundary_ahead = ahead

    def saved(self, position: Position) -> None:
        """A checkpoint was made."""
        self.kept_at, self._made_one = position, True

    def at_boundary(self, reason: str, position: Position, *, saved: bool) -> None:
        """Say what was made there, and end the process.

        Raises
        ------
        Preempted
        """
        made = f"a checkpoint was made at {position}" if saved else "no checkpoint could be made"
        self._tell(f"{reason}: {made}", self._boundaries.before_the_end())
        raise preemption.Preempted(reason)

    def behind_the_last_boundary(self) -> None:
        """The loop has come to its end: who asked during its last boundary is answered now.

        Raises
        ------
        Preempted
        """
        self.boundary_ahead = False
        self.if_asked()

    def if_asked(self) -> None:
        """To be called when no boundary is ahead.

        Raises
        ------
        Preempted
            Somebody has asked for the end, and no boundary has answered.
        """
        asked = preemption.to_end_now()
        if asked is not None:
            raise preemption.Preempted(asked, told=False)

    def tell(self, ended: preemption.Preempted) -> None:
        """Say what the process, which ends behind the last boundary, goes on from when it is started again."""
        if ended.told:
            return
        ended.told = True
        kept = self.kept_at
        where = "no checkpoint was made" if kept is None else f"it goes on from the checkpoint at {kept}"
        more = self._boundaries.before_the_end() if self._made_one else None
        self._tell(f"{ended.reason}: after the last step of the loop; {where}", more)

    def _tell(self, what: str, more: str | None) -> None:
        self._say(f"{what}; the process ends here" + ("" if more is None else f". {more}"))
