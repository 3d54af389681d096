"""`save_checkpoint` and `load_checkpoint`: a checkpoint by hand, for loops that `resumable` does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro_hydra.checkpoint import generators, objects
from repro_hydra.checkpoint.errors import CheckpointError
from repro_hydra.checkpoint.file import Header, read_checkpoint, write_checkpoint
from repro_hydra.checkpoint.plain import from_plain, to_plain
from repro_hydra.session.streams import put_streams, take_streams


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a checkpoint says besides the state that it gave to the objects."""

    path: Path
    epoch: int | None
    step: int | None
    extra: Any
    torch: str
    """The version of torch that wrote it."""


def save_checkpoint(
    path: str | Path,
    *,
    epoch: int | None = None,
    step: int | None = None,
    extra: Any = None,
    random: bool = True,
    gradients: bool = True,
    **tracked: Any,
) -> Path:
    """Write the state of everything that training depends on into one file, in one step.

    Parameters
    ----------
    path : path
        Replaced only when the new file is whole and on the disk.
    epoch, step : int, optional
        Where the training stands; given back by `load_checkpoint`.
    extra : plain data, optional
        Tensors, arrays, numbers, text, lists, dicts.
    random : bool
        Keep the state of every generator: Python's, NumPy's global one, torch's on the CPU and each CUDA device,
        and the streams of `repro_hydra.rng` that somebody holds.
    gradients : bool
        Keep gradients that are not yet applied.
    **tracked
        By name: ``model=…, optimizer=…, scheduler=…, scaler=…, sampler=…``: whatever has ``state_dict`` and
        ``load_state_dict``, random generators, dicts and lists.

    Returns
    -------
    Path
        Absolute.

    Raises
    ------
    CheckpointError
        Something has no state that a checkpoint can hold; its name is in the message.
    OSError
        The file cannot be written.

    Examples
    --------
    >>> save_checkpoint("last.ckpt", model=model, optimizer=optimizer, epoch=3)  # doctest: +SKIP
    """
    target = Path(path).absolute()
    objects.check_objects(tracked)
    payload = {
        "objects": objects.take(tracked, gradients=gradients),
        "random": {"global": generators.take_global(), "streams": take_streams()} if random else None,
        "extra": to_plain(extra, "extra"),
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    # Without the time: the same state gives the same file, which a reproduction is compared by.
    write_checkpoint(target, Header(step=step, epoch=epoch), payload)
    return target


def load_checkpoint(
    path: str | Path, *, random: bool = True, map_location: Any = "cpu", **tracked: Any
) -> Loaded:
    """Put the state of a checkpoint back into the objects that it was taken from, and the generators'.

    Its digest is verified before anything in it is looked at, and nothing but plain data is ever unpickled
    (``weights_only=True``), so that a checkpoint cannot run code. All objects are compared with it before the first
    is touched.

    Parameters
    ----------
    path : path
        Written by `save_checkpoint`, or by `resumable`.
    random : bool
        Set the generators too; last, so that nothing draws in between.
    map_location
        Where tensors are loaded to before the objects take them.
    **tracked
        By the names that they were saved under. Those left out stay as they are.

    Raises
    ------
    CheckpointError
        Nothing there, truncated, damaged, no checkpoint of this package, of another format, or of other objects.
    """
    source = Path(path).absolute()
    objects.check_objects(tracked)
    header, payload = read_checkpoint(source, map_location)
    try:
        taken = payload["objects"]
        states: Mapping[str, Any] | None = payload["random"]
        extra = from_plain(payload.get("extra"))
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{source}: expected a checkpoint of repro_hydra, found {error} missing"
        ) from None
    wanted = {name: taken[name] for name in tracked if name in taken}
    try:
        objects.put(tracked, wanted if len(wanted) == len(tracked) else taken)
        if random and states is not None:
            now = states.get("now", states)  # a loop's checkpoint has several moments
            generators.put_global(now["global"])
            put_streams(now["streams"])
    except CheckpointError as error:
        raise CheckpointError(f"{source}: {error}") from None
    return Loaded(path=source, epoch=header.epoch, step=header.step, extra=extra, torch=header.torch)
