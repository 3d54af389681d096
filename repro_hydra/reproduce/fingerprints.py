"""The fingerprints of two runs, held against each other: where their trainings first parted."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from repro_hydra.record.fingerprint import (
    FingerprintLine,
    FingerprintsCompared,
    compare_fingerprints,
    fingerprint_lines,
)
from repro_hydra.record.paths import RECORD_DIR
from repro_hydra.record.reproduction import Cause
from repro_hydra.reproduce.inside import LeadsOut, read_inside
from repro_hydra.reproduce.original import Original
from repro_hydra.session.fingerprints import STOPPED


def compared_fingerprints(
    a: Original, b: Original, *, unfinished: bool, but: Collection[str] = ()
) -> FingerprintsCompared:
    """Where two runs first part; nothing is compared where one of them took none, or its file is damaged.

    Parameters
    ----------
    unfinished : bool
        `a` was cut off.
    but : collection of str
        Libraries whose generators are not looked at.
    """
    steps = taken_as(a).every, taken_as(b).every
    if None not in steps and steps[0] != steps[1] and "off" not in (taken_as(a).level, taken_as(b).level):
        return FingerprintsCompared(
            why_not=f"one took each {steps[0]}. step, the other each {steps[1]}. (fingerprint.every)"
        )
    stopped = any(finding.id == STOPPED for run in (a.run, b.run) for finding in run.findings)
    try:
        return compare_fingerprints(_lines(a), _lines(b), cut_off=unfinished or stopped, but=but)
    except (LeadsOut, OSError, ValueError) as error:
        return FingerprintsCompared(why_not=f"damaged: {error}")


def _lines(original: Original) -> Iterator[FingerprintLine]:
    data = read_inside(original.dir, f"{RECORD_DIR}/fingerprints.jsonl")
    return iter(()) if data is None else fingerprint_lines(data)


def cause_of(compared: FingerprintsCompared) -> list[Cause]:
    """What the first difference says about why results differ."""
    if compared.first is None:
        return []
    detail = f"the trainings first part at {compared.first.detail} ({compared.steps} compared)"
    return [Cause(area="fingerprints", detail=detail)]


class TakenAs(NamedTuple):
    """How a run took fingerprints, by its options; None where its record does not tell."""

    level: str | None
    every: int | None


def taken_as(original: Original) -> TakenAs:
    """How `original` took its fingerprints."""
    options = None if original.config is None else original.config.repro
    chosen = options.get("fingerprint") if isinstance(options, dict) else None
    chosen = chosen if isinstance(chosen, dict) else {}
    level, every = chosen.get("level"), chosen.get("every")
    return TakenAs(level if isinstance(level, str) else None, every if isinstance(every, int) else None)


def read_whole(original: Original) -> bool:
    """Whether a run's fingerprints are of every step, and of every tensor whole."""
    try:
        parts = any(line.name is None and line.tensors is None for line in _lines(original))
    except (LeadsOut, OSError, ValueError):
        return False
    return not parts and taken_as(original).every == 1
