"""`explain A B`: why two recorded runs differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from repro_hydra.environment.circumstances import Circumstance
from repro_hydra.explain.causes import causes_of
from repro_hydra.explain.document import Explanation
from repro_hydra.explain.parting import Parting, largest_of, parting_of
from repro_hydra.record.reproduction import PlacedCause
from repro_hydra.reproduce.differences import circumstances
from repro_hydra.reproduce.original import Original
from repro_hydra.reproduce.verdict import amount

_IGNORED = ", and nothing follows from it: the program draws nothing, or seeds again with a constant"
_NOTHING = (
    "neither run left anything that could differ. Return a metric from the task, write a file, or take fingerprints: "
    "+repro/fingerprint=steps"
)


def explain_pair(
    a: Original,
    b: Original,
    environ: Mapping[str, str],
    *,
    ignore: Sequence[str] = (),
    of_one: bool = False,
) -> Explanation:
    """Where the runs part, and the likely causes; see `parting_of` and `causes_of`."""
    return explain_parting(a, b, parting_of(a, b, ignore), environ, of_one=of_one)


def explain_parting(
    a: Original, b: Original, parting: Parting, environ: Mapping[str, str], *, of_one: bool = False
) -> Explanation:
    """As `explain_pair`, of runs that were held against each other already."""
    seeds = [item for item in circumstances(a, b) if item.area == "seed"]
    if parting.equal and parting.compared.total == 0:
        return Explanation(
            equal=False,
            headline="nothing to compare: no metric, no file, no fingerprint",
            a=str(a.dir),
            b=str(b.dir),
            causes=[PlacedCause(area="metrics", detail=_NOTHING)],
            why_not=parting.prints.why_not,
        )
    if parting.equal:
        return Explanation(
            equal=True,
            headline=_equal_headline(a, b, parting),
            a=str(a.dir),
            b=str(b.dir),
            causes=[PlacedCause(area="seed", detail=f"{_told(seed)}{_IGNORED}") for seed in seeds[:1]],
            compared=parting.compared,
            why_not=parting.prints.why_not,
        )
    first, values = parting.first, parting.values
    stage, tensor, detail = parting.stage, None, parting.detail()
    step = None
    if first is not None:
        step, tensor = first.step, first.tensor
    elif values is not None:
        step, tensor = values.step, values.name
    if seeds:
        stage = "seed"
        detail = f"{_told(seeds[0])}; then {detail}"
    return Explanation(
        equal=False,
        headline=f"they differ{'' if stage is None else f' in {stage}'}"
        f"{'' if step is None else f' at step {step}'}: {amount(parting.compared)}",
        a=str(a.dir),
        b=str(b.dir),
        step=step,
        stage=stage,
        tensor=tensor,
        detail=detail,
        max_abs_diff=largest_of(values),
        max_abs_diff_of=None if values is None or values.largest is None else _name_of(parting),
        causes=causes_of(a, b, parting, environ, of_one=of_one),
        compared=parting.compared,
        why_not=parting.prints.why_not,
    )


def _told(seed: Circumstance) -> str:
    return f"{seed.key}: {seed.a} and {seed.b}"


def _name_of(parting: Parting) -> str:
    values = parting.values
    assert values is not None
    where = "result" if values.step is None else f"step {values.step}"
    return f"metrics, {where}, first {values.name}"


def _equal_headline(a: Original, b: Original, parting: Parting) -> str:
    if a.dir == b.dir:
        return "equal: it is one and the same run"
    began = f"; {' and '.join(parting.unseeded)} began in other states, and nothing follows from it"
    return f"equal: {amount(parting.compared)}{began if parting.unseeded else ''}"
