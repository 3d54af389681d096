"""The fingerprints of two runs, held against each other: where their trainings first parted."""

from __future__ import annotations

import msgspec

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

_STOPPED = "fingerprints-stopped"


class DamagedFingerprints(ValueError):
    """A file of fingerprints that cannot be read as one."""


def read_fingerprints(original: Original) -> list[FingerprintLine]:
    """Those of a run; none where it took none.

    Raises
    ------
    DamagedFingerprints
    """
    try:
        data = read_inside(original.dir, f"{RECORD_DIR}/fingerprints.jsonl")
        return [] if data is None else list(fingerprint_lines(data))
    except (LeadsOut, OSError, msgspec.MsgspecError, RecursionError) as error:
        raise DamagedFingerprints(f"fingerprints.jsonl of {original.dir}: {error}") from None


def compared_fingerprints(a: Original, b: Original, *, unfinished: bool) -> FingerprintsCompared:
    """Where two runs first part; nothing is compared where one of them took none, or its file is damaged.

    Parameters
    ----------
    unfinished : bool
        `a` was cut off.
    """
    try:
        one, other = read_fingerprints(a), read_fingerprints(b)
    except DamagedFingerprints:
        return FingerprintsCompared()  # `verify` names it, and so does the comparison with the manifest
    stopped = any(finding.id == _STOPPED for run in (a.run, b.run) for finding in run.findings)
    return compare_fingerprints(one, other, cut_off=unfinished or stopped)


def cause_of(compared: FingerprintsCompared) -> list[Cause]:
    """What the first difference says about why results differ."""
    if compared.first is None:
        return []
    detail = f"the trainings first part at {compared.first.detail} ({compared.steps} compared)"
    return [Cause(area="fingerprints", detail=detail)]
