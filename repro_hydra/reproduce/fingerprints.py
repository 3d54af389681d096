"""The fingerprints of two runs, held against each other: where their trainings first parted."""

from __future__ import annotations

from collections.abc import Collection, Iterator

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


def takes_steps_only(original: Original) -> bool:
    """Whether a run's fingerprints are of parts of its tensors, as `steps` takes them; False where it took none."""
    try:
        return any(line.name is None and line.tensors is None for line in _lines(original))
    except (LeadsOut, OSError, ValueError):
        return False
