"""``repro-hydra explain``: why two runs differ."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from repro_hydra.cli.errors import NO, UserError
from repro_hydra.cli.output import print_json, run_called, shorten_home
from repro_hydra.cli.running_again import asked_of, running_again
from repro_hydra.explain.document import Explanation
from repro_hydra.explain.pair import explain_pair
from repro_hydra.explain.rerun import explain_rerun
from repro_hydra.reproduce.original import read_original
from repro_hydra.reproduce.verdict import Judgement
from repro_hydra.reproduce.workshop import Workshop
from repro_hydra.sweep.table import clean

_MOST = 10


def run(
    references: list[str],
    *,
    rerun: bool,
    bisect: bool,
    env: str,
    yes: bool,
    output: Path | None,
    ignore: tuple[str, ...],
    json: bool,
) -> None:
    """The command."""
    if not rerun and (bisect or yes or output is not None or env != "current"):
        raise UserError(
            "--bisect, --env, --yes and --output say how a run is made again: expected --rerun beside them"
        )
    answer = (
        _made_again(references, ignore, bisect=bisect, env=env, yes=yes, output=output)
        if rerun
        else _recorded(references, ignore)
    )
    if json:
        print_json(answer)
    else:
        sys.stdout.write("".join(f"{line}\n" for line in page(answer)))
        sys.stdout.flush()
    if not answer.equal:
        raise SystemExit(NO)


def _recorded(references: list[str], ignore: tuple[str, ...]) -> Explanation:
    if len(references) != 2:
        hint = ". To make it again and explain what differs: --rerun" if len(references) == 1 else ""
        raise UserError(f"expected two runs, found {len(references)}{hint}")
    a, b = (read_original(run_called(reference)) for reference in references)
    for original in (a, b):
        for problem in original.problems:
            print(f"{original.dir}: {problem}", file=sys.stderr)
    return explain_pair(a, b, os.environ, ignore=ignore)


def _made_again(
    references: list[str],
    ignore: tuple[str, ...],
    *,
    bisect: bool,
    env: str,
    yes: bool,
    output: Path | None,
) -> Explanation:
    if len(references) != 1:
        raise UserError(f"--rerun: expected one run, found {len(references)}")
    (reference,) = references
    run_dir = run_called(reference)
    asked = asked_of("explain", Judgement(ignore=ignore), env=env, output=output, yes=yes)
    with running_again("explain --rerun", reference), Workshop(asked) as workshop:
        return explain_rerun(run_dir, workshop, os.environ, bisect=bisect)


def page(answer: Explanation) -> list[str]:
    """The answer in lines for people."""
    lines = [] if answer.original is None else [f"original: {shorten_home(answer.original)}"]
    lines += [f"rerun {number}: {shorten_home(made)}" for number, made in enumerate(answer.reruns, start=1)]
    lines += [f"{name}: {_called(which, answer)}" for name, which in (("a", answer.a), ("b", answer.b))]
    if answer.detail:
        lines.append(f"they part at {answer.detail}")
    if answer.max_abs_diff is not None:
        lines.append(f"largest difference there: {_number(answer.max_abs_diff)} ({answer.max_abs_diff_of})")
    if answer.why_not is not None:
        lines.append(f"fingerprints were not compared: {answer.why_not}")
    if answer.operator_why_not is not None:
        lines.append(f"no operator is named: {answer.operator_why_not}")
    lines += [
        f"{'likely cause' if number == 0 else '  then'}: {cause.area}: {cause.detail}"
        for number, cause in enumerate(answer.causes[:_MOST])
    ]
    if len(answer.causes) > _MOST:
        lines.append(f"  and {len(answer.causes) - _MOST} more: --json")
    lines.append(answer.headline)
    return [clean(line) for line in lines]


def _called(which: str, answer: Explanation) -> str:
    """A run by what it is among those of a command that made some."""
    if which == answer.original:
        return "original"
    return f"rerun {answer.reruns.index(which) + 1}" if which in answer.reruns else shorten_home(which)


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
