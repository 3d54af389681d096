"""``fingerprints.jsonl`` as typed values: the lines, and where two runs first part."""

# ruff: noqa: RUF012 (msgspec gives each struct its own copy of an empty mapping)
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from repro_hydra.record.schema import Part

SCHEME = 1
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
    rng: dict[str, str] = {}
    initial_weights: str | None = None
    batch: str | None = None
    loss: str | None = None
    gradients: str | None = None
    optimizer: str | None = None
    weights: str | None = None
    tensors: dict[str, dict[str, str]] = {}
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
    a: str | None = None
    b: str | None = None
    """The digests; None for what is not there."""
    detail: str
    """In words."""


class FingerprintsCompared(Part, frozen=True, kw_only=True):
    """What came of holding two runs' fingerprints against each other."""

    steps: int = 0
    """How many lines both have."""
    first: FirstDifference | None = None


def fingerprint_lines(data: bytes) -> Iterator[FingerprintLine]:
    """The lines of the file; a last one that a killed job left half is passed over.

    Raises
    ------
    msgspec.MsgspecError
        A line is none.
    """
    decode = msgspec.json.Decoder(FingerprintLine).decode
    whole, _, half = data.rpartition(b"\n")
    yield from (decode(line) for line in whole.split(b"\n") if line.strip())
    try:
        yield decode(half)
    except msgspec.MsgspecError:
        return


def compare_fingerprints(
    a: Sequence[FingerprintLine], b: Sequence[FingerprintLine], *, cut_off: bool = False
) -> FingerprintsCompared:
    """Hold the fingerprints of two runs of one program against each other, line by line.

    Parameters
    ----------
    cut_off : bool
        One of them does not go on to its end (the run was interrupted, or their taking was): that the other has
        more is no difference.
    """
    if not a or not b or _made_otherwise(a, b):
        return FingerprintsCompared()
    steps, first = 0, None
    for one, other in zip(a, b, strict=False):
        if (one.step, one.optimizer_index, one.name) != (other.step, other.optimizer_index, other.name):
            first = first or FirstDifference(
                step=one.step, stage=None, detail=f"{one} in the one, {other} in the other in its place"
            )
            break
        steps += 1
        if first is None and one != other:
            first = _difference(one, other)
    if first is None and len(a) != len(b) and not cut_off:
        longer, which = (a, "the first") if len(a) > len(b) else (b, "the second")
        line = longer[steps]
        first = FirstDifference(step=line.step, stage=None, detail=f"{line}: only {which} of the two has it")
    return FingerprintsCompared(steps=steps, first=first)


def _made_otherwise(a: Sequence[FingerprintLine], b: Sequence[FingerprintLine]) -> bool:
    one, other = ({line.scheme for line in lines if line.scheme is not None} for lines in (a, b))
    whole = [any(line.tensors for line in lines) for lines in (a, b)]
    return bool(one and other and one != other) or whole[0] != whole[1]


def _difference(one: FingerprintLine, other: FingerprintLine) -> FirstDifference | None:
    if one.name is not None and one.digest != other.digest:
        return FirstDifference(
            step=one.step,
            stage=None,
            tensor=one.name,
            a=one.digest,
            b=other.digest,
            detail=f"{one}: another value",
        )
    for library in one.rng:
        if one.rng[library] != other.rng.get(library):
            return FirstDifference(
                step=one.step,
                stage="rng",
                tensor=library,
                a=one.rng[library],
                b=other.rng.get(library),
                detail=f"{one}: {library}'s generator has another state at its end",
            )
    equal: list[str] = []
    for key, stage in _DIGESTS:
        before, after = getattr(one, key), getattr(other, key)
        if before == after:
            equal += [key.replace("_", " ")] if before is not None else []
            continue
        tensor = _tensor(one.tensors.get(key, {}), other.tensors.get(key, {}))
        where = f" of {tensor}" if tensor is not None else ""
        those = f", while those of {', '.join(equal)} are equal" if equal else ""
        return FirstDifference(
            step=one.step,
            stage=stage,
            tensor=tensor,
            a=before,
            b=after,
            detail=f"{one}: other {_WORDS[key]}{where}{those}",
        )
    return None


_WORDS = {
    "initial_weights": "weights before the first step",
    "batch": "contents of the batch",
    "loss": "values of the loss",
    "gradients": "gradients",
    "optimizer": "states of the optimizer",
    "weights": "weights",
}


def _tensor(one: dict[str, str], other: dict[str, str]) -> str | None:
    return next((name for name in one if one[name] != other.get(name)), None)
