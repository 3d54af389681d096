"""``fingerprints.jsonl`` as typed values: the lines, and where two runs first part."""

# ruff: noqa: RUF012 (msgspec gives each struct its own copy of an empty list or dict)
from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import zip_longest
from typing import Literal

import msgspec

from repro_hydra.record.schema import Part

SCHEME = 2
"""How the digests are made; those of another scheme tell nothing of these."""
Stage = Literal["rng", "batch", "loss", "gradient", "optimizer", "weights"]
_DIGESTS: tuple[tuple[str, Stage], ...] = (
    ("initial_weights", "weights"),
    ("batch", "batch"),
    ("loss", "loss"),
    ("gradients", "gradient"),
    ("optimizer", "optimizer"),
    ("weights", "weights"),
)
"""As they come about in a step; the generators' before them, since what was drawn is in all of these."""


class FingerprintLine(Part, frozen=True, kw_only=True):
    """One step of an optimizer, or one value that the program handed in (`name` and `digest`)."""

    step: int
    optimizer_index: int | None = None
    name: str | None = None
    digest: str | None = None
    scheme: int | None = None
    """In the first line of each optimizer; with it, `initial_weights`."""
    device: str | None = None
    """Beside it: of the weights. The digests of two kinds of device tell nothing of each other."""
    rng: dict[str, str] | None = None
    initial_weights: str | None = None
    batch: str | None = None
    loss: str | None = None
    gradients: str | None = None
    optimizer: str | None = None
    weights: str | None = None
    tensors: dict[str, dict[str, str]] | None = None
    """Of each tensor by its name, where all were read whole: below ``gradients``, ``optimizer`` and ``weights``."""

    def __str__(self) -> str:
        if self.name is not None:
            return f"{self.name!r} (number {self.step})" if self.step else f"{self.name!r}"
        which = f" of optimizer {self.optimizer_index}" if self.optimizer_index else ""
        return f"step {self.step}{which}"


class FirstDifference(Part, frozen=True, kw_only=True):
    """Where the fingerprints of two runs first part."""

    step: int
    stage: Stage | None
    """None: a value that the program handed in, or a step that only one of them made."""
    tensor: str | None = None
    optimizer_index: int | None = None
    """Whose step it is; None of a value that the program handed in."""
    a: str | None = None
    b: str | None = None
    """The digests; None for what is not there."""
    equal: list[str] = []
    """Of the same line, the keys whose digests are equal,"""
    differ: list[str] = []
    """and those whose digests are not: what came after the first mostly follows from it."""
    detail: str
    """In words."""


class FingerprintsCompared(Part, frozen=True, kw_only=True):
    """What came of holding two runs' fingerprints against each other."""

    steps: int = 0
    """How many lines both have."""
    first: FirstDifference | None = None
    why_not: str | None = None
    """Why none were compared, where at least one of the runs took some."""


def fingerprint_lines(data: bytes) -> Iterator[FingerprintLine]:
    """The lines of the file; a last one that a killed job left half is passed over.

    Raises
    ------
    ValueError
        A line is none.
    """
    decode = msgspec.json.Decoder(FingerprintLine).decode
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        if data[start:end].strip():
            yield _decoded(decode, data[start:end])
        start = end + 1
    with contextlib.suppress(ValueError):
        yield _decoded(decode, data[start:])


def _decoded(decode: Callable[[bytes], FingerprintLine], line: bytes) -> FingerprintLine:
    try:
        return decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{line[:60]!r}: {error}") from None


def compare_fingerprints(
    a: Iterable[FingerprintLine],
    b: Iterable[FingerprintLine],
    *,
    cut_off: bool = False,
    but: Collection[str] = (),
) -> FingerprintsCompared:
    """Hold the fingerprints of two runs of one program against each other, line by line.

    Parameters
    ----------
    cut_off : bool
        One of them does not go on to its end (the run was interrupted, or their taking was): that the other has
        more is no difference.
    but : collection of str
        Libraries whose generators are not looked at.

    Raises
    ------
    ValueError
        As `fingerprint_lines` does.
    """
    steps, first = 0, None
    for one, other in zip_longest(a, b):
        if one is None or other is None:
            if steps == 0:
                which = "the first" if other is None else "the second"
                return FingerprintsCompared(why_not=f"only {which} of the two has any")
            if first is None and not cut_off:
                first = _only_one(one, other)
            break
        why_not = _made_otherwise(one, other)
        if why_not is not None:
            return FingerprintsCompared(why_not=why_not)
        if (one.step, one.optimizer_index, one.name) != (other.step, other.optimizer_index, other.name):
            words = f"{one} in the one, {other} in the other in its place"
            first = first or FirstDifference(step=one.step, stage=None, detail=words)
            break
        steps += 1
        if first is None and one != other:
            first = _difference(one, other, but)
    return FingerprintsCompared(steps=steps, first=first)


def _only_one(one: FingerprintLine | None, other: FingerprintLine | None) -> FirstDifference | None:
    line = one or other
    if line is None:
        return None
    which = "the first" if other is None else "the second"
    return FirstDifference(step=line.step, stage=None, detail=f"{line}: only {which} of the two has it")


def _made_otherwise(one: FingerprintLine, other: FingerprintLine) -> str | None:
    if one.scheme is not None and other.scheme is not None and one.scheme != other.scheme:
        return f"made by scheme {one.scheme} and by scheme {other.scheme}"
    if one.device is not None and other.device is not None and one.device != other.device:
        return f"made on {one.device!r} and on {other.device!r}"
    if one.name is None and other.name is None and (one.tensors is None) != (other.tensors is None):
        return "made of every tensor whole in one of the two only"
    return None


def _difference(
    one: FingerprintLine, other: FingerprintLine, but: Collection[str] = ()
) -> FirstDifference | None:
    if one.name is not None and one.digest != other.digest:
        return FirstDifference(
            step=one.step,
            stage=None,
            tensor=one.name,
            a=one.digest,
            b=other.digest,
            detail=f"{one}: another value",
        )
    alike, unlike = _keys(one, other)
    rng, rng_of_other = one.rng or {}, other.rng or {}
    for library in {**rng, **rng_of_other}:
        if library not in but and rng.get(library) != rng_of_other.get(library):
            return FirstDifference(
                step=one.step,
                stage="rng",
                tensor=library,
                optimizer_index=one.optimizer_index,
                a=rng.get(library),
                b=rng_of_other.get(library),
                equal=alike,
                differ=unlike,
                detail=f"{one}: {_plain(library)}'s generator has another state at its end",
            )
    equal: list[str] = []
    tensors, tensors_of_other = one.tensors or {}, other.tensors or {}
    for key, stage in _DIGESTS:
        before, after = getattr(one, key), getattr(other, key)
        tensor = _tensor(tensors.get(key, {}), tensors_of_other.get(key, {}))
        if before == after and tensor is None:
            equal += [key.replace("_", " ")] if before is not None else []
            continue
        where = f" of {_plain(tensor)}" if tensor is not None else ""
        those = f", while those of {', '.join(equal)} are equal" if equal else ""
        return FirstDifference(
            step=one.step,
            stage=stage,
            tensor=tensor,
            optimizer_index=one.optimizer_index,
            a=before,
            b=after,
            equal=alike,
            differ=unlike,
            detail=f"{one}: other {_WORDS[key]}{where}{those}",
        )
    if but and rng != rng_of_other:
        return None  # that is all, and was to be passed over
    return FirstDifference(step=one.step, stage=None, detail=f"{one}: another line")


def _keys(one: FingerprintLine, other: FingerprintLine) -> tuple[list[str], list[str]]:
    """Of two lines of one step, the keys that are equal and those that are not, of those that both have."""
    alike: list[str] = []
    unlike: list[str] = []
    for key in ("rng", *(key for key, _ in _DIGESTS)):
        before, after = getattr(one, key), getattr(other, key)
        if before is not None and after is not None:
            (alike if before == after else unlike).append(key)
    return alike, unlike


def _plain(name: str) -> str:
    """A name as it may be shown: it comes from a record."""
    return name if name.isprintable() else repr(name)


_WORDS = {
    "initial_weights": "weights before the first step",
    "batch": "contents of the batch",
    "loss": "values of the loss",
    "gradients": "gradients",
    "optimizer": "states of the optimizer",
    "weights": "weights",
}


def _tensor(one: dict[str, str], other: dict[str, str]) -> str | None:
    return next((name for name in {**one, **other} if one.get(name) != other.get(name)), None)
