"""``repro-hydra compare``: in what runs differ, the likeliest explanation first."""

from __future__ import annotations

import sys
from pathlib import Path

from repro_hydra.cli.errors import UserError
from repro_hydra.cli.output import default_roots, print_json
from repro_hydra.record.find import resolve
from repro_hydra.record.reproduction import Comparison
from repro_hydra.reproduce.differences import AREAS, compare_runs
from repro_hydra.reproduce.original import read_original
from repro_hydra.sweep.table import Column, lay_out

_COLUMNS = (
    Column("rank", right=True),
    Column("area"),
    Column("key"),
    Column("a"),
    Column("b"),
    Column("difference", right=True, drop=1),
)
_WIDEST = 40


def run(references: list[str], *, only: list[str], json: bool) -> None:
    """The command."""
    unknown = [area for area in only if area not in AREAS]
    if unknown:
        raise UserError(f"--only: expected one of {', '.join(AREAS)}, found {', '.join(unknown)}")
    if len(references) < 2:
        raise UserError("expected two runs or more, found one")
    originals = []
    for reference in references:
        located = resolve(reference, default_roots())
        if located.kind != "run":
            raise UserError(
                f"{reference}: expected a run, found a sweep. Its jobs: repro-hydra list {located.dir}"
            )
        originals.append(read_original(Path(located.dir)))
    comparison = compare_runs(originals, only)
    if json:
        print_json(comparison)
    else:
        sys.stdout.write(text(comparison))
        sys.stdout.flush()
    for original in originals:
        for problem in original.problems:
            print(f"{original.dir}: {problem}", file=sys.stderr)
    if not comparison.same:
        raise SystemExit(1)


def text(comparison: Comparison) -> str:
    """The comparison for people."""
    if comparison.same:
        return "the same in everything that was compared\n"
    rows = [
        (str(item.rank), item.area, item.key, _told(item.a), _told(item.b), _told(item.abs_diff, absent=""))
        for item in comparison.differences
    ]
    return lay_out(_COLUMNS, rows)


def _told(value: object, absent: str = "—") -> str:
    shown = absent if value is None else f"{value:.9g}" if isinstance(value, float) else str(value)
    return shown if len(shown) <= _WIDEST else f"{shown[: _WIDEST - 1]}…"
