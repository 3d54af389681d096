"""``repro-hydra explain``: why two runs differ."""

from __future__ import annotations

import os
import sys

from repro_hydra.cli.errors import NO, UserError
from repro_hydra.cli.output import print_json, run_called, shorten_home
from repro_hydra.explain.document import Explanation
from repro_hydra.explain.pair import explain_pair
from repro_hydra.reproduce.original import read_original
from repro_hydra.sweep.table import clean

_MOST = 10


def run(references: list[str], *, json: bool) -> None:
    """The command."""
    if len(references) != 2:
        raise UserError(f"expected two runs, found {len(references)}")
    a, b = (read_original(run_called(reference)) for reference in references)
    answer = explain_pair(a, b, os.environ)
    if json:
        print_json(answer)
    else:
        sys.stdout.write("".join(f"{line}\n" for line in page(answer)))
        sys.stdout.flush()
    for original in (a, b):
        for problem in original.problems:
            print(f"{original.dir}: {problem}", file=sys.stderr)
    if not answer.equal:
        raise SystemExit(NO)


def page(answer: Explanation) -> list[str]:
    """The answer in lines for people."""
    lines = [f"a: {shorten_home(answer.a)}", f"b: {shorten_home(answer.b)}"]
    if answer.detail:
        lines.append(f"they part at {answer.detail}")
    if answer.max_abs_diff is not None:
        lines.append(f"largest difference there: {_number(answer.max_abs_diff)} ({answer.max_abs_diff_of})")
    if answer.why_not is not None:
        lines.append(f"fingerprints were not compared: {answer.why_not}")
    lines += [
        f"{'likely cause' if number == 0 else '  then'}: {cause.area}: {cause.detail}"
        for number, cause in enumerate(answer.causes[:_MOST])
    ]
    if len(answer.causes) > _MOST:
        lines.append(f"  and {len(answer.causes) - _MOST} more: --json")
    lines.append(answer.headline)
    return [clean(line) for line in lines]


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
