"""Learning curves: the same statistics at each step that the runs logged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from repro_hydra.record.paths import RunPaths
from repro_hydra.record.plain_file import read_plain
from repro_hydra.record.schema import JSON
from repro_hydra.record.values import from_json_number
from repro_hydra.sweep.document import AggregateRow
from repro_hydra.sweep.rows import Measured, RowMaker, Value

_NO_METRICS = frozenset({"step", "time"})
_decode_line = msgspec.json.Decoder().decode

Curve = dict[str, dict[int, float]]
"""Metric to step to value."""


def read_curve(run_dir: str) -> tuple[Curve, list[str]]:
    """The metrics that a run logged, and what of its ``metrics.jsonl`` could not be read.

    A step that was logged twice (a run that was resumed) counts with its last value.
    """
    curve: Curve = {}
    problems: list[str] = []
    path = RunPaths(Path(run_dir)).metrics
    try:
        lines = read_plain(path).splitlines()
    except FileNotFoundError:
        return curve, problems
    except OSError as error:
        return curve, [f"{path}: cannot be read ({error.strerror})"]
    for position, line in enumerate(lines, start=1):
        entry = _entry(line)
        if entry is None:
            problems.append(f"{path}:{position}: expected one JSON object with a step, found something else")
            continue
        step = entry["step"]
        for name, value in entry.items():
            logged = None if name in _NO_METRICS else from_json_number(value)
            if logged is not None:
                curve.setdefault(name, {})[step] = logged
    return curve, problems


def _entry(line: bytes) -> dict[str, JSON] | None:
    try:
        entry = _decode_line(line)
    except (msgspec.DecodeError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and type(entry.get("step")) is int else None


def rows_of_steps(
    configurations: Iterable[Measured],
    maker: RowMaker,
    metrics: Sequence[str] | None,
    refuse: type[ValueError],
    *,
    most_steps: int | None = None,
) -> list[AggregateRow]:
    """A row for each configuration, metric and step.

    Parameters
    ----------
    configurations : iterable of Measured
        Their `runs` are read again, for what they logged.
    metrics : sequence of str, optional
        Those to show; all that were logged if not given.
    refuse : type
        Raised for a metric that no run logged.
    most_steps : int, optional
        Of one configuration and metric, evenly chosen, the first and the last among them; all if not given.
    """
    read = [(item, *_curves(item)) for item in configurations]
    known = list(dict.fromkeys(name for _, curves, _ in read for curve in curves for name in curve))
    for name in metrics or ():
        if known and name not in known:
            raise refuse(
                f"--metric {name}: expected one of {', '.join(known)}, which were logged step by step"
            )
    names = list(dict.fromkeys(metrics or known))
    rows: list[AggregateRow] = []
    for item, curves, problems in read:
        own = replace(item, notes=[*item.notes, *problems])
        for name in names:
            rows += _rows_of_metric(own, name, curves, maker, most_steps)
    return rows


def _curves(item: Measured) -> tuple[list[Curve], list[str]]:
    read = [read_curve(run.dir) for run in item.runs]
    problems = [problem for _, found in read for problem in found]
    silent = sum(not curve and not found for curve, found in read)
    if silent:
        problems.append(f"{silent} of {len(read)} completed runs logged no metric step by step")
    return [curve for curve, _ in read], problems


def _rows_of_metric(
    item: Measured, name: str, curves: Sequence[Curve], maker: RowMaker, most_steps: int | None
) -> Iterator[AggregateRow]:
    steps = _thinned(sorted({step for curve in curves for step in curve.get(name, ())}), most_steps)
    logging = sum(name in curve for curve in curves)
    for step in steps:
        having: list[Value] = [
            (run, curve[name][step])
            for run, curve in zip(item.runs, curves, strict=True)
            if step in curve.get(name, ())
        ]
        notes = list(item.notes)
        if len(having) < logging:
            notes.append(f"{logging - len(having)} of {logging} runs that log {name} have no such step")
        yield maker.row(item, name, having, notes, step=step)


def _thinned(steps: list[int], most: int | None) -> list[int]:
    if most is None or len(steps) <= most:
        return steps
    stride = (len(steps) - 1) / (most - 1)
    return [steps[round(index * stride)] for index in range(most)]
