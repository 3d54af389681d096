"""`explain RUN --rerun --bisect`: the operator by which a run first differs from itself.

Which step it is, is known from runs that were compared by fingerprints. Around it, pairs of reruns write down every
operator; a pair tells something where it parts within the steps that it wrote down, else the next one looks there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from repro_hydra.explain.document import Explanation, Stage
from repro_hydra.explain.operators import Parted, first_parted
from repro_hydra.explain.pair import explain_pair, explain_parting
from repro_hydra.explain.parting import parting_of
from repro_hydra.explain.reruns import WHOLE, Reruns
from repro_hydra.fingerprint.log import stride_at
from repro_hydra.record.fingerprint import FirstDifference
from repro_hydra.record.reproduction import PlacedCause
from repro_hydra.record.values import to_json
from repro_hydra.reproduce.original import Original
from repro_hydra.session.fingerprints import STOPPED
from repro_hydra.session.recorded import Watch

_MOST_PAIRS = 3
_EQUAL_PAIRS = 2
"""After so many that are equal the run is taken to be steady."""
_PHASES = {"forward": "", "backward": " in the backward pass", "optimizer": " of the optimizer"}
_FROM_THE_START = 8
"""Where a run parts within so many steps, it is looked at from its beginning: what made the weights counts too."""
_AROUND = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """The steps of one optimizer that are to be looked at."""

    optimizer_index: int
    steps: range

    def holds(self, first: FirstDifference) -> bool:
        return first.optimizer_index == self.optimizer_index and first.step in self.steps


def bisected(
    reruns: Reruns, first: FirstDifference | None, scratch: Path, environ: Mapping[str, str]
) -> Explanation:
    """Make pairs of reruns until one names the operator.

    Parameters
    ----------
    first : FirstDifference, optional
        Where the run differed from the original, as far as it is known.
    scratch : Path
        A folder for the traces.

    Returns
    -------
    Explanation
        Of the last pair, with `operator` where it was found, and why not where it was not.

    Raises
    ------
    Lacking, OSError
        As `Reruns.make`.
    """
    place = _around(first)
    answer: Explanation | None = None
    equal = elsewhere = 0
    for number in range(_MOST_PAIRS):
        traces = [scratch / f"operators-{number}-{which}.jsonl" for which in "ab"]
        one, other = (reruns.make(_watch(place, trace)) for trace in traces)
        why = _failed_of_it(reruns.original, one) or _failed_of_it(reruns.original, other)
        if why is not None and place is not None:
            pair = reruns.make(WHOLE), reruns.make(WHOLE)
            return _not_told(explain_pair(*pair, environ, ignore=reruns.ignore, of_one=True), why)
        parting = parting_of(one, other, reruns.ignore)
        found = explain_parting(one, other, parting, environ, of_one=True)
        if found.equal:
            equal += 1
            answer = answer or found
            if equal == _EQUAL_PAIRS:
                break
            continue
        answer = found
        first = parting.first
        if place is not None and first is not None and place.holds(first):
            return _told(answer, traces, (one, other))
        elsewhere += 1
        place = _around(first)
        if place is None:
            return _not_told(answer, "what differs first is no step of an optimizer of torch")
    assert answer is not None
    pairs = f"of {equal + elsewhere} pairs of reruns {equal} were equal"
    return _not_told(
        answer, f"{pairs}, {elsewhere} parted where nothing was written down" if elsewhere else pairs
    )


def _failed_of_it(original: Original, run: Original) -> str | None:
    """What a run failed with that had not failed: some code of torch refuses to run below a dispatch mode."""
    error = run.run.error
    if original.run.status == "failed" or run.run.status != "failed" or error is None:
        return None
    said = error.message.partition("\n")[0]
    return f"the run fails where its operators are written down ({error.type}: {said:.300})"


def _not_told(answer: Explanation, why: str) -> Explanation:
    return msgspec.structs.replace(answer, operator_why_not=why)


def _around(first: FirstDifference | None) -> _Place | None:
    if first is None or first.optimizer_index is None:
        return None
    # Of a long training not every step is fingerprinted: it may have parted since the last one that was.
    begin = 0 if first.step <= _FROM_THE_START else first.step - max(_AROUND, stride_at(first.step))
    return _Place(optimizer_index=first.optimizer_index, steps=range(begin, first.step + _AROUND + 1))


def _watch(place: _Place | None, trace: Path) -> Watch:
    if place is None:
        return WHOLE
    return Watch(
        trace=str(trace),
        optimizer_index=place.optimizer_index,
        first_step=place.steps.start,
        last_step=place.steps.stop - 1,
    )


def _told(answer: Explanation, traces: list[Path], runs: tuple[Original, Original]) -> Explanation:
    stopped = [finding.message for each in runs for finding in each.run.findings if finding.id == STOPPED]
    parted: Parted | None = None
    try:
        parted = first_parted(*traces)
    except (OSError, msgspec.MsgspecError) as error:
        stopped.append(str(error))
    if stopped and (parted is None or not parted.same_call):
        # Where a list ends early, its end is no other way through the program.
        return _not_told(answer, f"a run left no whole list of its operators: {stopped[0]}")
    if parted is None:
        return _not_told(
            answer,
            "every operator of torch gives the same: what differs is made beside them",
        )
    line = parted.line
    stage = _stage_of(parted, answer)
    cause = _cause(parted, stage)
    return msgspec.structs.replace(
        answer,
        step=line.step,
        stage=stage,
        operator=line.op,
        module=line.module,
        headline=f"they part by {line.op}{'' if line.site is None else f' at {line.site}'}, in {stage} of step "
        f"{line.step}",
        max_abs_diff=answer.max_abs_diff if parted.largest is None else to_json(parted.largest),
        max_abs_diff_of=answer.max_abs_diff_of if parted.largest is None else f"output of {line.op}",
        causes=[cause, *answer.causes],
    )


def _stage_of(parted: Parted, answer: Explanation) -> Stage | None:
    line = parted.line
    if line.phase == "backward":
        return "gradient"
    if line.phase == "optimizer":
        return answer.stage if answer.stage in ("optimizer", "weights") else "optimizer"
    if parted.drew:
        return "rng"
    if answer.stage == "batch" and line.step == answer.step and not parted.inputs_equal:
        return "batch"  # it came from outside, and this operator is the first that reads it
    return "forward"


def _cause(parted: Parted, stage: Stage | None) -> PlacedCause:
    line = parted.line
    where = "" if line.site is None else f"{line.site}: "
    who = f"{line.op}{'' if line.module is None else f' in module {line.module}'}{_PHASES[line.phase]}"
    if not parted.same_call:
        ops = [f"{one.op}" if one is not None else "none" for one in (parted.a, parted.b)]
        told = f"the runs go other ways: {ops[0]} in the one, {ops[1]} in the other"
        area = "code"
    elif parted.drew:
        told = f"{who} draws from a generator in another state"
        area = "seed"
    elif line.op.startswith("aten.lift_fresh"):
        told = f"a tensor is made there{_PHASES[line.phase]} from numbers of Python's, and they are others"
        area = "determinism"
    elif parted.inputs_equal:
        told = f"{who} gives another output for equal inputs"
        area = "determinism"
    else:
        told = f"{who} is the first that differs, and gets another input, which no operator of torch made"
        area = "data" if stage == "batch" else "determinism"
    return PlacedCause(
        area=area,
        detail=f"{where}{told}",
        file=None if line.site is None else line.site.file,
        line=None if line.site is None else line.site.line,
    )
