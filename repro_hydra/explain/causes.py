"""Likely causes of where two runs part: what went into them and differs, what they found, what the stage itself tells.

First what can explain the place, by how much it usually explains (the weights are those of `compare`); then what the
stage tells, whatever is recorded; last what differs too, but acts on another place than the one at which they part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from repro_hydra.environment.circumstances import Circumstance
from repro_hydra.explain.changed_lines import changes_in
from repro_hydra.explain.parting import Parting
from repro_hydra.explain.stages import against, told_by_stage
from repro_hydra.record.reproduction import PlacedCause
from repro_hydra.record.schema import Finding
from repro_hydra.reproduce.code_diff import code_diffs
from repro_hydra.reproduce.differences import circumstances
from repro_hydra.reproduce.original import Original

_CODE, _NO_SEED, _FINDING = 5, 3, 15
_MOST_CHANGES = 20
_AREAS = {
    "unseeded-generator": "seed", "seeded-again": "seed", "system-entropy": "seed", "drawn-before-seeding": "seed",
    "copied-generator": "seed", "constant-key": "seed", "same-stream": "seed", "seed": "seed", "sweeper": "seed",
    "undeclared-input": "data", "data": "data", "input": "data",
    "code": "code", "stale-bytecode": "code", "git": "code", "no-commit": "code", "no-git-repository": "code",
    "undeclared-variable": "environment", "environment": "environment", "node-python-differs": "environment",
    "node-cpu-differs": "hardware",
}  # fmt: skip
"""Of a finding, by how its id begins; any other is of determinism."""


class _Candidate(NamedTuple):
    weight: int
    cause: PlacedCause
    key: str = ""
    acts: bool = True
    """False for what cannot be run: a comment, prose."""


def causes_of(
    a: Original, b: Original, parting: Parting, environ: Mapping[str, str], *, of_one: bool = False
) -> list[PlacedCause]:
    """Why two runs part where they do, the likeliest first.

    Parameters
    ----------
    environ : mapping
        Of the git that is asked for the code's diff.
    of_one : bool
        The two are one run, made again twice.
    """
    differing = [item for item in circumstances(a, b) if item.severity != "harmless"]
    candidates = [*_differing(differing, a, b, environ), *_findings(a, b), *_no_seed(a, b, parting)]
    candidates.sort(key=lambda item: item.weight)
    explaining: list[PlacedCause] = []
    others: list[PlacedCause] = []
    for candidate in candidates:
        cause = candidate.cause
        why_not = against(cause.area, candidate.key, parting) if candidate.acts else "no line that is run"
        if why_not is None:
            explaining.append(cause)
        else:
            others.append(
                PlacedCause(
                    area=cause.area,
                    detail=f"{cause.detail} (hardly: {why_not})",
                    file=cause.file,
                    line=cause.line,
                )
            )
    return [*explaining, *told_by_stage(parting, recorded=bool(explaining), of_one=of_one), *others]


def _differing(
    differing: Sequence[Circumstance], a: Original, b: Original, environ: Mapping[str, str]
) -> Iterator[_Candidate]:
    lines = list(_changed_lines(a, b, environ))
    yield from lines
    for item in differing:
        if lines and item.area == "code" and not item.key.startswith("submodule."):
            continue  # told line by line
        cause = PlacedCause(area=item.area, detail=f"{item.key}: {item.a!s:.200} and {item.b!s:.200}")
        yield _Candidate(item.weight, cause, item.key)


def _changed_lines(a: Original, b: Original, environ: Mapping[str, str]) -> Iterator[_Candidate]:
    for diff in code_diffs([a, b], environ):
        changes = sorted(changes_in(diff.diff or ""), key=lambda change: not change.file.endswith(".py"))
        changes.sort(key=lambda change: change.says_nothing)
        for change in changes[:_MOST_CHANGES]:
            cause = PlacedCause(area="code", detail=str(change), file=change.file, line=change.line)
            yield _Candidate(_CODE, cause, change.file, acts=not change.says_nothing)
        if len(changes) > _MOST_CHANGES:
            more = f"and {len(changes) - _MOST_CHANGES} places more. All of them: repro-hydra compare {a.dir} {b.dir}"
            yield _Candidate(_CODE, PlacedCause(area="code", detail=more))


def _findings(a: Original, b: Original) -> Iterator[_Candidate]:
    of_both: dict[str, tuple[Finding, list[str]]] = {}
    for whose, original in (("a", a), ("b", b)):
        for finding in original.run.findings:
            if finding.severity != "harmless":
                of_both.setdefault(finding.id, (finding, []))[1].append(whose)
    for finding, who in of_both.values():
        where = "" if len(who) == 2 else f"only run {who[0]}: "
        cause = PlacedCause(
            area=_area_of(finding.id),
            detail=f"{where}[{finding.id}] {finding.message}",
            file=finding.file,
            line=finding.line,
        )
        yield _Candidate(_FINDING, cause, finding.id)


def _area_of(finding_id: str) -> str:
    kind = finding_id.partition(":")[0]
    return _AREAS.get(kind) or _AREAS.get(kind.partition("-")[0]) or "determinism"


def _no_seed(a: Original, b: Original, parting: Parting) -> Iterator[_Candidate]:
    if a.run.seed_set or b.run.seed_set:
        return
    differ = f"; {' and '.join(parting.unseeded)} began in other states" if parting.unseeded else ""
    detail = (
        f"no seed was set for either run (mode {b.run.mode}): what the program does not seed itself is new each "
        f"time{differ}"
    )
    yield _Candidate(_NO_SEED, PlacedCause(area="seed", detail=detail), "seed_set")
