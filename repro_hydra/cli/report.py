"""``repro-hydra report``: one page with everything that a sweep has to tell."""

from __future__ import annotations

import importlib.util
import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from repro_hydra.cli.aggregate import check_confidence, parsed_where, why_empty
from repro_hydra.cli.errors import NO, UserError
from repro_hydra.cli.output import folders, now, print_json, shorten_home
from repro_hydra.record.store import write_bytes
from repro_hydra.record.where import WhereError
from repro_hydra.sweep.collect import collect
from repro_hydra.sweep.comparisons import UnknownBaseline
from repro_hydra.sweep.group import UnknownKey
from repro_hydra.sweep.measuring import NotRepeats, Options, UnknownMetric

_NEEDED = ("jinja2", "matplotlib")


def run(
    dirs: list[Path],
    options: Options,
    *,
    where: str | None,
    task: str | None,
    task_ranges: Sequence[str] = (),
    title: str | None,
    output: Path,
    figures: Path | None,
    json: bool,
) -> None:
    """The command."""
    check_confidence(options.confidence)
    _check_extra()
    _check_places(output, figures)
    ranges = _ranges(task_ranges)
    if ranges and task is None:
        raise UserError("--task-range: expected a --task that tells the tasks apart, found none")
    if ranges and len(options.metrics or ()) != 1:
        raise UserError("--task-range: expected the one --metric that it is about, found none or several")
    found_dirs = [path.absolute() for path in folders(dirs)]
    from repro_hydra.report.content import gather
    from repro_hydra.report.page import to_html
    from repro_hydra.report.plates import plates_of
    from repro_hydra.report.profiles import Tasks
    from repro_hydra.report.svg import save

    try:
        selection = parsed_where(where)
        collected = collect(found_dirs, where=selection)
        content = gather(collected, options, tasks=Tasks(task, ranges), cwd=Path.cwd(), roots=found_dirs)
    except (UnknownMetric, UnknownKey, UnknownBaseline, WhereError) as error:
        raise UserError(str(error)) from None
    except NotRepeats as error:
        raise UserError(str(error), NO) from None
    if not content.runs:
        raise UserError(why_empty(content.aggregate, dirs), NO)
    plates = plates_of(content)
    page = to_html(
        content, plates, title=title, made_at=now(), command=shlex.join(["repro-hydra", *sys.argv[1:]])
    ).encode("utf-8", "replace")
    written: list[Path] = []
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(output, page)
        if figures is not None:
            figures.mkdir(parents=True, exist_ok=True)
            written = [path for drawn in plates.all() for path in save(drawn, figures)]
    except OSError as error:
        raise UserError(f"{error.filename or output}: cannot be written ({error.strerror})", NO) from None
    if json:
        print_json(
            {
                "file": str(output.absolute()),
                "size_bytes": len(page),
                "figures": [str(path.absolute()) for path in written],
                "runs": len(content.runs),
                "rows": len(content.aggregate.rows),
                "left_out": len(content.aggregate.left_out),
                "cut": [*plates.cut, *content.cut],
            }
        )
    else:
        drawn = f", {len(written)} files in {figures}" if figures is not None else ""
        print(f"{shorten_home(str(output.absolute()))}: {len(content.runs)} runs, {len(page):,} bytes{drawn}")
    if content.aggregate.is_empty:
        raise UserError(f"{why_empty(content.aggregate, dirs)}\nThe page says so too.", NO)


def _check_places(output: Path, figures: Path | None) -> None:
    if output.is_dir():
        raise UserError(
            f"-o {output}: expected the name of a file, found a folder. Run with: -o {output}/report.html"
        )
    for folder in (output.parent, *([figures] if figures is not None else [])):
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder}: expected a folder, found a file")


def _ranges(texts: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Each ``TASK=LOW:HIGH``."""
    ranges: dict[str, tuple[float, float]] = {}
    for text in texts:
        name, sign, limits = text.rpartition("=")
        try:
            low, high = (float(limit) for limit in limits.split(":"))
        except ValueError:
            low = high = math.nan
        if not (sign and name and math.isfinite(low) and math.isfinite(high) and low != high):
            raise UserError(f"--task-range {text}: expected TASK=LOW:HIGH, two different numbers")
        if name in ranges:
            raise UserError(f"--task-range {name}: expected one range, found two")
        ranges[name] = (low, high)
    return ranges


def _check_extra() -> None:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"{' and '.join(missing)}: not installed, and a report needs it. Run: pip install 'repro-hydra[report]'"
        )
