"""`resumable`: the two lines by which a training loop goes on exactly where it was interrupted."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro_hydra.checkpoint import preemption
from repro_hydra.checkpoint.rank_sets import refuse_other_world
from repro_hydra.checkpoint.shelf import Kept, Shelf
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.times import utc_now
from repro_hydra.seed.handed_out import handed_out
from repro_hydra.session import process
from repro_hydra.session.child import run_of_this_rank
from repro_hydra.session.say import say
from repro_hydra.session.session import Session, active_session

if TYPE_CHECKING:
    from repro_hydra.checkpoint.boundary import Boundaries
    from repro_hydra.checkpoint.loop import Resumable
    from repro_hydra.checkpoint.position import Schedule
    from repro_hydra.checkpoint.surroundings import Saving, Surroundings
    from repro_hydra.checkpoint.variables import Variables

_entered: Counter[str] = Counter()
"""How many loops without a name were entered, by directory."""


@contextmanager
def resumable(
    *unnamed: Any,
    directory: str | Path | None = None,
    name: str | None = None,
    every_epochs: int | None = 1,
    every_steps: int | None = None,
    every_s: float | None = 600.0,
    keep: int = 2,
    gradients: bool = True,
    variables: bool = True,
    **named: Any,
) -> Iterator[Resumable]:
    """Make a training loop one that is interrupted without harm: it goes on with the same bits.

    On entry the objects get the state of the run's newest checkpoint that is whole, where there is one. Within it
    ``USR1``, ``USR2`` and ``TERM`` (and `repro_hydra.checkpoint.preemption.request`) make a checkpoint at the next step
    boundary, and then end the process by `Preempted`, a `SystemExit`; after the loop's last step they end it at once.

    Parameters
    ----------
    *unnamed, **named
        What the loop trains with: everything that has ``state_dict`` and ``load_state_dict`` (model, optimizer,
        scheduler, scaler, metrics), random generators, and dicts or lists of plain values.
    directory : path, optional
        Where the checkpoints are; by default in the record of the run that this process is in.
    name : str, optional
        Tells several loops of one run apart; by default they are numbered in the order in which they are entered.
    every_epochs, every_steps, every_s : int, int, float, optional
        A checkpoint after so many epochs, steps or seconds, whichever comes first; None for never.
    keep : int
        How many checkpoints stay.
    gradients : bool
        Keep gradients that are not yet applied. Without them checkpoints are smaller, and exact where the loop calls
        ``zero_grad`` before each ``backward``.
    variables : bool
        Keep the plain local variables of the loop's functions (running sums, best values, lists of losses) too.

    Yields
    ------
    Resumable
        With ``epochs(n)``, ``batches(loader)``, ``enumerate(loader)``, ``steps(n)``, ``epoch``, ``step``.

    Raises
    ------
    CheckpointError
        An object has no state, or the checkpoint does not fit the objects.
    ValueError
        Outside of a run without `directory`, or within one with it; a name that no file can have.

    Examples
    --------
    >>> with resumable(model, optimizer, scheduler) as state:  # doctest: +SKIP
    ...     for epoch in state.epochs(10):
    ...         for images, labels in state.batches(loader):
    ...             train_step(images, labels)
    """
    from repro_hydra.checkpoint.loop import Resumable
    from repro_hydra.checkpoint.position import Schedule
    from repro_hydra.checkpoint.variables import NoVariables

    session = active_session()
    place = _place(session, directory, asking="resumable")
    name = next_name(place) if name is None else _checked(name)
    schedule = Schedule(
        every_epochs=every_epochs, every_steps=every_steps, every_s=every_s, clock=time.monotonic
    )
    tracked = _all_of(unnamed, named)
    around = surroundings(session)
    kept_variables = _local_variables(around, tracked, gradients) if variables else NoVariables()
    state: Resumable | None = None
    try:
        with ExitStack() as stack:
            shelf, boundaries, kept = _enter(stack, around, place, name, schedule, keep=keep)
            listener = stack.enter_context(preemption.listening())
            if listener is None:
                say(
                    "resumable: entered outside of the main thread, so signals are not heard; checkpoints are made"
                )
            state = Resumable(
                tracked,
                name=name,
                shelf=shelf,
                boundaries=boundaries,
                surroundings=around,
                variables=kept_variables,
                listener=listener,
                gradients=gradients,
            )
            kept_variables.begin()
            stack.callback(kept_variables.end)
            if kept is not None:
                state.restore(kept)
            yield state
        # Of a loop that was left by `break` too. Now that the signals are told to others, none is missed.
        state.leaving.if_asked()
    except preemption.Preempted as ended:
        if state is not None:
            state.leaving.tell(ended)
        raise


def _local_variables(around: Surroundings, tracked: Mapping[str, Any], gradients: bool) -> Variables:
    """Those of the loop's functions, but for what was handed over."""
    from repro_hydra.checkpoint.values import Keeper
    from repro_hydra.checkpoint.variables import Variables

    def lost(name: str, kind: str) -> None:
        around.not_exact(
            f"variable-{name}",
            f"{name} ({kind}): no checkpoint can hold where it stands, so a restart would begin it anew. For a "
            "loader's iterator write state.batches(loader); else give it state_dict() and load_state_dict() of plain "
            "values",
        )

    return Variables(Keeper(list(tracked.values()), gradients, lost))


def _checked(name: str) -> str:
    if not name or name.startswith(".") or "/" in name or os.sep in name:
        raise ValueError(f"resumable: name: expected one that a file can have, found {name!r}")
    return name


def _enter(
    stack: ExitStack, around: Surroundings, place: Path | None, name: str, schedule: Schedule, *, keep: int
) -> tuple[Saving | None, Boundaries, Kept | None]:
    """Where this process's checkpoints go, who decides when, and which one it goes on from."""
    from repro_hydra.checkpoint.boundary import Alone

    rank, world = process.rank_and_world(os.environ)
    if place is None:
        return None, Alone(schedule), None
    if world == 1:
        refuse_other_world(place, name, world)
        shelf = _shelf(place, keep)
        return shelf, Alone(schedule), shelf.newest(name)
    from repro_hydra.checkpoint.ranks import sums_in_another_order
    from repro_hydra.session.resume_ranks import join, one_at_a_time

    stack.enter_context(one_at_a_time(name))
    joined = join(place, name, rank, world, schedule, keep=keep)
    reason = sums_in_another_order(world)
    if reason is not None:
        around.not_exact("ddp-buckets", reason)
    return joined.shelf, joined.boundaries, joined.kept


def shelf_of(
    session: Session | None, directory: str | Path | None, *, keep: int, asking: str
) -> tuple[Path | None, Shelf | None]:
    """Where the checkpoints lie: in the record of the run, or in `directory` outside of one.

    Raises
    ------
    ValueError
        Neither, or both.
    """
    place = _place(session, directory, asking=asking)
    return place, None if place is None else _shelf(place, keep)


def _shelf(place: Path, keep: int) -> Shelf:
    shelf = Shelf(place, keep=keep, say=say)
    shelf.clean()
    return shelf


def _place(session: Session | None, directory: str | Path | None, *, asking: str) -> Path | None:
    """Where the checkpoints lie; None in a run that has no record."""
    rank_of = run_of_this_rank() if session is None else None
    in_a_run = session is not None or rank_of is not None
    if directory is None and not in_a_run:
        raise ValueError(
            f"{asking}: expected to be in a run, or to be given a directory, found neither. "
            f"Write: {asking}(…, directory='checkpoints')"
        )
    if directory is not None and in_a_run:
        raise ValueError(
            f"{asking}: directory: expected none within a run, whose record holds the checkpoints, found {directory}. "
            "Leave it out"
        )
    if directory is not None:
        return Path(directory)
    return session.checkpoints if session is not None else rank_of and RunPaths(rank_of).checkpoints


def _all_of(unnamed: tuple[Any, ...], named: Mapping[str, Any]) -> dict[str, Any]:
    """Every object by name; those without one are called by their place and class."""
    return {f"{number}:{type(value).__name__}": value for number, value in enumerate(unnamed)} | dict(named)


def next_name(place: Path | None) -> str:
    """The name of the next loop that was given none."""
    key = str(place)
    _entered[key] += 1
    return f"loop{_entered[key]}"


def surroundings(session: Session | None) -> Surroundings:
    """What the run adds to a loop."""
    from repro_hydra.checkpoint.surroundings import Surroundings
    from repro_hydra.session.streams import put_streams, take_streams

    told: set[str] = set()

    def not_exact(what: str, message: str) -> None:
        if session is not None:
            session.note_not_exact(what, message)
        elif what not in told:
            told.add(what)
            say(message)

    def in_round(within: bool) -> None:
        handed_out.in_round(within)
        for name in [] if within else handed_out.outliving():
            not_exact(
                f"stream-{name}",
                f"rng({name!r}): made within the loop, and still drawn from in a later epoch: after a restart it would "
                "begin anew. Make it before the loop",
            )

    around = Surroundings(
        say=say,
        now=utc_now,
        take_streams=take_streams,
        put_streams=put_streams,
        in_round=in_round,
        not_exact=not_exact,
    )
    if session is None:
        around.restored = lambda kept, position: say(f"{kept.path}: going on at {position}")
        return around

    def restored(kept: Kept, position: Any) -> None:
        say(f"going on at {position}, from {kept.path.name}")
        continued.append(kept)

    continued: list[Kept] = []
    around.restored = restored
    around.continued = lambda: session.continued_from(continued[-1])
    around.take_parts = session.parts_for_checkpoint
    return around
