"""What a reproduction is worth: the verdict, how much it stands on, and why runs differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from repro_hydra.environment.circumstances import Circumstance
from repro_hydra.record.fingerprint import FingerprintsCompared
from repro_hydra.record.reproduction import Cause, Compared, MetricRow, Reproduction, Verdict
from repro_hydra.record.schema import JSON
from repro_hydra.record.values import from_json_number
from repro_hydra.reproduce.differences import circumstances, difference_of
from repro_hydra.reproduce.fingerprints import cause_of, compared_fingerprints
from repro_hydra.reproduce.original import Original
from repro_hydra.reproduce.outputs import OutputsCompared, compare_outputs
from repro_hydra.reproduce.results import differing_logged, row_of
from repro_hydra.reproduce.siblings import sibling_results
from repro_hydra.reproduce.tolerances import Tolerances
from repro_hydra.reproduce.trust import changed_since_manifest
from repro_hydra.stats.intervals import prediction_interval

_MOST_DETAILS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """How to judge: what was asked for now; None is what the run's own config says."""

    rtol: float | None = None
    atol: float | None = None
    ignore: Sequence[str] = ()
    confidence: float = 0.95


def judge_reproduction(
    original: Original,
    reproduced: Original,
    asked: Judgement,
    tolerances: Tolerances,
    *,
    suspects: Sequence[Cause] = (),
) -> Reproduction:
    """Hold two finished runs against each other.

    Parameters
    ----------
    tolerances : Tolerances
        What is near enough, metric by metric; `asked` is in them.
    suspects : sequence of Cause
        What was noticed on the way (data touched since, a damaged record), the likeliest first.
    """
    unfinished = original.run.status not in ("completed", "failed")
    rows = [
        row_of(name, value, (reproduced.result or {}).get(name), tolerances.of(name))
        for name, value in (original.result or {}).items()
        if not _ignored(name, asked)
    ]
    only_new = [] if original.result is None else sorted({*(reproduced.result or {})} - {*original.result})
    logged, differing_rows = differing_logged(
        original.logged, reproduced.logged, tolerances.of, unfinished=unfinished
    )
    outputs = compare_outputs(original, reproduced, asked.ignore, tolerances.usual, unfinished=unfinished)
    same_end, end_detail = _same_end(original, reproduced)
    prints = compared_fingerprints(original, reproduced, unfinished=unfinished)
    compared = Compared(
        metrics=len(rows),
        files=outputs.files,
        tensors=outputs.tensors,
        fingerprint_steps=prints.steps,
        logged_values=logged,
        errors=int(original.run.status == "failed"),
    )
    verdict, note = _verdict(
        original, rows, only_new, differing_rows, outputs, same_end, compared, prints, asked, tolerances
    )
    differences = sorted(
        (item for item in circumstances(original, reproduced)), key=lambda item: (item.weight, item.key)
    )
    causes: list[Cause] = []
    if verdict != "BITWISE":
        causes = _causes(original, reproduced, differences, suspects)
        causes += cause_of(prints)
        causes += [Cause(area="metrics", detail=end_detail)] if not same_end else []
        causes += [Cause(area="files", detail=detail) for detail in outputs.details[:_MOST_DETAILS]]
        causes += [Cause(area="metrics", detail=f"{name}: only the reproduction has it") for name in only_new]
    return Reproduction(
        verdict=verdict,
        headline=f"{verdict}: {amount(compared)}{note}{_not_compared(prints)}",
        run=str(original.dir),
        run_id=original.run.run_id,
        reproduction=str(reproduced.dir),
        reproduction_run_id=reproduced.run.run_id,
        compared=compared,
        waived={**original.run.waived, **reproduced.run.waived},
        upheld=reproduced.run.upheld,
        causes=causes,
        metrics=[*rows, *differing_rows],
        missing=[]
        if compared.total
        else ["results: there was nothing to compare: no metric, no file, no error"],
        differences=[difference_of(item, rank) for rank, item in enumerate(differences, start=1)],
        rtol=tolerances.usual.rtol,
        atol=tolerances.usual.atol,
        tolerances=tolerances.own_of(row.name for row in rows),
    )


def impossible(original: Original | None, run: str, missing: Sequence[str], **more: JSON) -> Reproduction:
    """Nothing was compared, and all that is missing."""
    causes = [Cause(area=text.partition(":")[0], detail=text) for text in missing]
    return Reproduction(
        verdict="IMPOSSIBLE",
        headline=f"IMPOSSIBLE: {_count(len(missing), 'thing')} missing",
        run=run,
        run_id=None if original is None else original.run.run_id,
        waived={} if original is None else original.run.waived,
        causes=causes,
        missing=list(missing),
        **more,
    )


def _verdict(
    original: Original,
    rows: Sequence[MetricRow],
    only_new: Sequence[str],
    logged: Sequence[MetricRow],
    outputs: OutputsCompared,
    same_end: bool,
    compared: Compared,
    prints: FingerprintsCompared,
    asked: Judgement,
    tolerances: Tolerances,
) -> tuple[Verdict, str]:
    if compared.total == 0:
        return "IMPOSSIBLE", "nothing to compare"
    if not same_end or only_new:
        return "DIVERGED", ""
    every = [*rows, *logged]
    if all(row.equal_bits for row in every) and outputs.equal and prints.first is None:
        return "BITWISE", ", all bits equal"
    if compared.total == compared.fingerprint_steps:
        return "DIVERGED", "; they tell whether bits are equal, not how near values are"
    if all(row.within for row in every) and outputs.within:
        return (
            "WITHIN_TOLERANCE",
            f", all within {tolerances.shown(row.name for row in rows)}",
        )
    return _consistent(original, rows, asked)


def _consistent(original: Original, rows: Sequence[MetricRow], asked: Judgement) -> tuple[Verdict, str]:
    """Whether every metric that is off lies where one more seed of the original sweep would."""
    off = [row for row in rows if not row.within]
    if not off:
        return "DIVERGED", ""  # the metrics agree: what differs has no interval
    told = []
    for row in off:
        value = from_json_number(row.reproduced)
        values = sibling_results(original, row.name)
        if value is None or values is None:
            return "DIVERGED", ""
        interval = prediction_interval(values, confidence=asked.confidence)
        if interval.low is None or interval.high is None:
            why = "; ".join(interval.notes)
            return "DIVERGED", f" (no prediction interval for {row.name}: {why})"
        place = f"{row.name} {value:.6g} in [{interval.low:.6g}, {interval.high:.6g}], n = {interval.n}"
        if not interval.low <= value <= interval.high:
            return "DIVERGED", f" ({place.replace(' in ', ' is not in ')})"
        told.append(place)
    return "CONSISTENT", f"; the bits differ, and metrics lie where one more seed would ({'; '.join(told)})"


def _causes(
    original: Original, reproduced: Original, differences: Sequence[Circumstance], suspects: Sequence[Cause]
) -> list[Cause]:
    causes: list[Cause] = []
    changed = changed_since_manifest(original)
    causes += [Cause(area="record", detail=f"{what} since the original's manifest") for what in changed]
    causes += suspects
    if not original.run.seed_set:
        causes.append(Cause(area="seed", detail="the original set no seed (mode record, or seed.set=false)"))
    for item in differences:
        if item.severity != "harmless":
            causes.append(
                Cause(
                    area=item.area, detail=f"{item.key}: {item.a!s:.200} in the original, {item.b!s:.200} now"
                )
            )
    for whose, run in (("original", original.run), ("reproduction", reproduced.run)):
        causes += [
            Cause(area="determinism", detail=f"{whose}: [{finding.id}] {finding.message}")
            for finding in run.findings
            if finding.severity != "harmless"
        ]
    if not causes:
        causes.append(
            Cause(
                area="determinism",
                detail="nothing that is recorded differs, so the run depends on something that is not: its mode is "
                f"{original.run.mode}. See where it diverges: repro-hydra compare",
            )
        )
    return causes


def _same_end(original: Original, reproduced: Original) -> tuple[bool, str]:
    before, after = original.run, reproduced.run
    if before.status == "failed":
        one = (before.error.type, before.error.message) if before.error else None
        other = (after.error.type, after.error.message) if after.error else None
        if after.status == "failed" and one == other:
            return True, ""
        return False, f"the original failed with {_told(one)}, the reproduction {_ended(after.status, other)}"
    if after.status != "completed":
        other = (after.error.type, after.error.message) if after.error else None
        return False, f"the original {before.status}, the reproduction {_ended(after.status, other)}"
    return True, ""


def _ended(status: str, error: tuple[str, str] | None) -> str:
    return f"{status} with {_told(error)}" if error else status


def _told(error: tuple[str, str] | None) -> str:
    return "an error" if error is None else f"{error[0]}: {error[1]:.300}"


def _ignored(name: str, asked: Judgement) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in asked.ignore)


def _not_compared(prints: FingerprintsCompared) -> str:
    return "" if prints.why_not is None else f"; fingerprints were not compared ({prints.why_not:.200})"


def amount(compared: Compared) -> str:
    """How much was compared, in words; nothing of nothing."""
    parts = [
        _count(compared.metrics, "metric"),
        _count(compared.logged_values, "logged value"),
        _count(compared.files, "file"),
        _count(compared.tensors, "tensor"),
        _count(compared.fingerprint_steps, "fingerprint"),
        _count(compared.errors, "error"),
    ]
    told = [part for part in parts if not part.startswith("0 ")]
    return f"{', '.join(told)} compared" if told else ""


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
