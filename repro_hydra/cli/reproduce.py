"""``repro-hydra reproduce``: run it again, and say if it is the same."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from repro_hydra.cli.errors import NO, UserError
from repro_hydra.cli.output import default_roots, print_json, shorten_home
from repro_hydra.cli.running_again import asked_of, running_again
from repro_hydra.record.find import Located, resolve
from repro_hydra.record.reproduction import MetricRow, Reproduction
from repro_hydra.reproduce.exported import opened
from repro_hydra.reproduce.sweeps import reproduce_located
from repro_hydra.reproduce.verdict import Judgement
from repro_hydra.reproduce.workshop import Asked
from repro_hydra.sweep.table import Column, clean, lay_out

_YES = ("BITWISE", "WITHIN_TOLERANCE", "CONSISTENT")
_MOST_ROWS = 40
_COLUMNS = (
    Column("metric"),
    Column("original", right=True),
    Column("reproduced", right=True),
    Column("abs error", right=True),
    Column("rel error", right=True),
    Column("bits"),
    Column("within"),
)


def run(
    reference: str,
    *,
    env: str,
    rtol: float | None,
    atol: float | None,
    jobs: int,
    yes: bool,
    ignore: list[str],
    output: Path | None,
    json: bool,
) -> None:
    """The command."""
    judgement = Judgement(rtol=rtol, atol=atol, ignore=tuple(ignore))
    asked = asked_of("reproduce", judgement, env=env, output=output, yes=yes)
    with opened(reference) as exported:
        outcome = _outcome(reference, exported or resolve(reference, default_roots()), asked, jobs)
    if json:
        print_json(outcome)
    else:
        sys.stdout.write("".join(f"{line}\n" for line in page(outcome)))
        sys.stdout.flush()
    if outcome.verdict not in _YES:
        raise SystemExit(NO)


def _outcome(reference: str, located: Located, asked: Asked, jobs: int) -> Reproduction:
    if located.kind == "damaged":
        raise UserError(located.problem or f"{reference}: damaged", NO)
    with running_again("reproduce", reference):
        outcome = reproduce_located(located, asked, jobs)
    if Path(reference).is_file():  # it was unpacked for the time of this command
        outcome = msgspec.structs.replace(outcome, run=reference)
    return outcome


def page(outcome: Reproduction) -> list[str]:
    """The outcome in lines for people."""
    lines = []
    if outcome.metrics:
        lines += [*lay_out(_COLUMNS, [_row(row) for row in outcome.metrics[:_MOST_ROWS]]).splitlines(), ""]
    lines += [f"{job.verdict:16}  {shorten_home(job.run)}" for job in outcome.jobs]
    lines += [f"missing: {text}" for text in outcome.missing]
    if not outcome.missing:
        lines += [
            f"{'likely cause' if number == 0 else '  then'}: {cause.area}: {cause.detail}"
            for number, cause in enumerate(outcome.causes[:10])
        ]
    lines += [f"waived: {name}: {reason}" for name, reason in outcome.waived.items()]
    if outcome.upheld == "no":
        lines.append("upheld: no; see the findings: repro-hydra show")
    if outcome.reproduction is not None:
        lines.append(f"reproduction: {shorten_home(outcome.reproduction)}")
    lines.append(outcome.headline)
    return [clean(line) for line in lines]


def _row(row: MetricRow) -> tuple[str, ...]:
    return (
        row.name,
        _number(row.original),
        _number(row.reproduced),
        _short(row.abs_error),
        _short(row.rel_error),
        "equal" if row.equal_bits else "differ",
        "yes" if row.within else "no",
    )


def _number(value: object) -> str:
    return "—" if value is None else f"{value:.9g}" if isinstance(value, float) else str(value)


def _short(value: object) -> str:
    return "—" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
