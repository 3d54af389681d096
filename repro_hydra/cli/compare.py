"""``repro-hydra compare``: in what runs differ, the likeliest explanation first."""

from __future__ import annotations

import sys

from repro_hydra.cli.errors import UserError
from repro_hydra.cli.output import print_json, run_called, shorten_home
from repro_hydra.record.reproduction import CodeDiff, Comparison
from repro_hydra.reproduce.differences import AREAS, compare_runs
from repro_hydra.reproduce.original import read_original
from repro_hydra.sweep.table import Column, clean, lay_out

_COLUMNS = (
    Column("rank", right=True),
    Column("area"),
    Column("key"),
    Column("a"),
    Column("b"),
    Column("difference", right=True, drop=1),
)
_RUN_COLUMNS = (
    Column(""),
    Column("run"),
    Column("status"),
    Column("started"),
    Column("took", right=True),
    Column("memory", right=True),
    Column("directory"),
)
_WIDEST = 40
_LETTERS = 26
_SAME = "·"
_MOST_LINES = 200


def run(references: list[str], *, only: list[str], json: bool) -> None:
    """The command."""
    unknown = [area for area in only if area not in AREAS]
    if unknown:
        raise UserError(f"--only: expected one of {', '.join(AREAS)}, found {', '.join(unknown)}")
    if len(references) < 2:
        raise UserError("expected two runs or more, found one")
    originals = [read_original(run_called(reference)) for reference in references]
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
    """The comparison for people: what no two runs share, then what they should, then the code."""
    rows = [
        (
            chr(ord("a") + number) if number < _LETTERS else str(number),
            run.run_id[:8],
            run.status,
            (run.started_at or "")[:19].replace("T", " "),
            "" if run.duration_s is None else f"{run.duration_s:.3g} s",
            "" if run.peak_memory_bytes is None else f"{run.peak_memory_bytes / (1 << 20):.0f} MiB",
            shorten_home(run.dir),
        )
        for number, run in enumerate(comparison.runs)
    ]
    head = lay_out(_RUN_COLUMNS, rows) + "\n"
    if comparison.same:
        return head + "the same in everything that was compared\n"
    if len(comparison.runs) > 2:
        table = _side_by_side(comparison)
    else:
        table = lay_out(
            _COLUMNS,
            [
                (
                    str(item.rank),
                    item.area,
                    item.key,
                    _told(item.a),
                    _told(item.b),
                    _told(item.abs_diff, absent=""),
                )
                for item in comparison.differences
            ],
        )
    return head + table + "".join(_code(diff) for diff in comparison.code_diffs)


def _side_by_side(comparison: Comparison) -> str:
    """A row a key, a column a run; where a run is as the first one, its cell says so by a dot."""
    cells: dict[tuple[str, str], dict[str, str]] = {}
    first = comparison.runs[0].dir
    for item in comparison.differences:
        row = cells.setdefault((item.area, item.key), {first: _told(item.a)})
        row[item.run or ""] = _told(item.b)
    columns = [Column("rank", right=True), Column("area"), Column("key")]
    columns += [
        Column(chr(ord("a") + number) if number < _LETTERS else str(number))
        for number in range(len(comparison.runs))
    ]
    rows = [
        (str(rank), area, key, *(row.get(run.dir, _SAME) for run in comparison.runs))
        for rank, ((area, key), row) in enumerate(cells.items(), start=1)
    ]
    return lay_out(columns, rows)


def _code(difference: CodeDiff) -> str:
    if difference.diff is None:
        return f"\ncode: no repository here has both that of {difference.a} and that of {difference.b}\n"
    lines = difference.diff.splitlines()
    shown = [clean(line) for line in lines[:_MOST_LINES]]
    if len(lines) > _MOST_LINES:
        shown.append(f"… and {len(lines) - _MOST_LINES} lines more; the whole of it: --json")
    return "\n".join(
        ["", f"code of {shorten_home(difference.a)} and {shorten_home(difference.b)}:", *shown, ""]
    )


def _told(value: object, absent: str = "—") -> str:
    shown = absent if value is None else f"{value:.9g}" if isinstance(value, float) else str(value)
    return shown if len(shown) <= _WIDEST else f"{shown[: _WIDEST - 1]}…"
