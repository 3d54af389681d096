"""Running a recorded job again: code, environment, data, the job itself, and then the comparison."""

from __future__ import annotations

from pathlib import Path

import msgspec

from repro_hydra.record.paths import RunPaths
from repro_hydra.record.reproduction import Cause, Reproduction
from repro_hydra.record.store import RecordError, write_json
from repro_hydra.reproduce.original import Original, read_original
from repro_hydra.reproduce.prepared import Prepared
from repro_hydra.reproduce.process import Ended
from repro_hydra.reproduce.verdict import impossible, judge_reproduction
from repro_hydra.reproduce.workshop import Workshop


class NotConfirmed(Exception):
    """The record is not vouched for, and nobody said that it may be run."""


class Lacking(Exception):
    """The job could not be made again."""

    def __init__(self, missing: list[str]) -> None:
        super().__init__("; ".join(missing))
        self.missing = missing
        """All that stands in the way."""


def reproduce_run(run_dir: Path, workshop: Workshop) -> Reproduction:
    """Run the job of one record again, and hold the results against each other.

    Raises
    ------
    NotConfirmed
    OSError
        There is no place for the new run.
    """
    try:
        original = read_original(run_dir)
    except RecordError as error:
        return impossible(None, str(run_dir), [f"record: {error}"])
    prepared = Prepared(original, workshop)
    missing = prepared.gather()
    if missing:
        return impossible(original, str(run_dir), missing, **_tolerance(prepared))
    if not workshop.confirm(prepared.command.shown(), prepared.trust):
        raise NotConfirmed(prepared.trust.reason)
    missing = prepared.set_up()
    if missing:
        return impossible(original, str(run_dir), missing, **_tolerance(prepared))
    new_dir = workshop.new_directory(original)
    ended = prepared.run(new_dir)
    outcome = _judged(prepared, new_dir, ended)
    if RunPaths(new_dir).record.is_dir():
        write_json(RunPaths(new_dir).reproduction, outcome, durable=True)
    return outcome


def _judged(prepared: Prepared, new_dir: Path, ended: Ended) -> Reproduction:
    original, asked = prepared.original, prepared.asked
    try:
        reproduced = made_again(prepared, new_dir, ended)
    except Lacking as error:
        return _keep_dir(
            impossible(original, str(original.dir), error.missing, **_tolerance(prepared)), new_dir
        )
    suspects = [
        Cause(
            area="data",
            detail=f"{name}: written after the original had started; its content then is not recorded",
        )
        for name in prepared.inputs.changed_since
    ]
    return judge_reproduction(original, reproduced, asked.judgement, prepared.tolerances, suspects=suspects)


def made_again(prepared: Prepared, new_dir: Path, ended: Ended) -> Original:
    """The record of the new run.

    Raises
    ------
    Lacking
        It left none, or could not go on where the original did.
    """
    try:
        reproduced = read_original(new_dir)
    except RecordError:
        said = ended.tail.strip()[-1500:] or "nothing"
        raise Lacking(
            [f"job: it ended with status {ended.status} and left no record. It said: {said}"]
        ) from None
    lacking = _what_it_lacked(prepared, reproduced)
    if lacking:
        raise Lacking(lacking)
    return reproduced


def _what_it_lacked(prepared: Prepared, reproduced: Original) -> list[str]:
    """Where the original went on and the reproduction could not: the thing that was not there."""
    original, run = prepared.original.run, reproduced.run
    error = run.error
    if run.status != "failed" or original.status == "failed" or error is None:
        return []
    if run.started_at is None:
        return [f"job: it did not start: {error.message}"]
    if error.type in ("ModuleNotFoundError", "ImportError"):
        absent = f" Not installed here: {', '.join(prepared.absent[:10])}." if prepared.absent else ""
        return [f"environment: {error.type}: {error.message}.{absent} Run it with --env rebuild"]
    if error.type == "FileNotFoundError":
        return [
            f"data: {error.message}: the job reads it, and neither its code nor its config holds or names it"
        ]
    return []


def _keep_dir(outcome: Reproduction, new_dir: Path) -> Reproduction:
    return msgspec.structs.replace(outcome, reproduction=str(new_dir))


def _tolerance(prepared: Prepared) -> dict[str, float]:
    usual = prepared.tolerances.usual
    return {"rtol": usual.rtol, "atol": usual.atol}
