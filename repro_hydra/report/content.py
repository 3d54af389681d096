"""What a report holds, gathered from the records: no drawing, no HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from repro_hydra.record.manifest import digest_file
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.places import known_places, project_of
from repro_hydra.report.figure_style import LARGEST_DRAWN
from repro_hydra.report.profiles import Profile, Tasks, profiles_of
from repro_hydra.report.promise import Promise, RunTold, promise_of, read_told
from repro_hydra.report.provenance import Provenance, provenance_of
from repro_hydra.reproduce.workshop import FOLDER
from repro_hydra.sweep.aggregate import conclude
from repro_hydra.sweep.comparisons import compare_pairs
from repro_hydra.sweep.document import Aggregate, AggregateRow, Comparison
from repro_hydra.sweep.facts import Collected, RunFacts
from repro_hydra.sweep.measuring import Options, UnknownMetric, metric_names, table_of
from repro_hydra.sweep.rows import Measured, RowMaker
from repro_hydra.sweep.steps import rows_of_steps
from repro_hydra.sweep.wording import config_words

MOST_METRICS_DRAWN = 6
MOST_STRIPS = 30
"""Configurations in a figure of seed points."""
MOST_FIGURES = 4
"""Figures of one kind and metric."""
MOST_CURVES = 24
MOST_STEPS = 160
"""Of a curve: more cannot be seen."""
MOST_PAIRED = 8
"""Configurations that are compared each with each; of more, a baseline must be named."""

Curves = dict[str, list[list[AggregateRow]]]
"""Logged metric to the rows of each configuration, step by step."""


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run in the list at the end."""

    run: RunFacts
    told: RunTold
    manifest: str | None
    """BLAKE3 of ``manifest.json``; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Everything a report says."""

    roots: list[str]
    runs: list[RunLine]
    aggregate: Aggregate
    metrics: list[str]
    """Of the final results, the primary one first."""
    curves: Curves
    """Logged metric to the rows of each configuration, step by step."""
    comparisons: list[Comparison]
    profiles: list[Profile]
    promise: Promise
    provenance: Provenance
    cut: list[str] = field(default_factory=list)
    """What was left away for the page's sake, in sentences."""


def gather(
    collected: Collected,
    options: Options,
    *,
    tasks: Tasks,
    cwd: Path,
    roots: Sequence[Path],
) -> Content:
    """Everything a report says of the runs in `collected`.

    Parameters
    ----------
    collected : Collected
        The runs, read.
    options : Options
        As of `repro_hydra.sweep.aggregate.aggregate`; `steps` must be off.
    tasks : Tasks
        What tells tasks apart, for performance profiles over them, and their scales.
    cwd : Path
        The user's working directory; with `roots`, where reproductions of the runs are looked for.

    Raises
    ------
    UnknownMetric, UnknownKey, UnknownBaseline, NotRepeats
        As `aggregate`; an unknown key or name of a task too.
    """
    tasks = tasks.of(list(collected.configurations.values()), options.by)
    cut: list[str] = []
    measured = table_of(collected, replace(options, metrics=None))
    logged = _curves(measured.measured, measured.maker, cut)
    known = metric_names(collected)
    for name in options.metrics or ():
        if name not in known and name not in logged and (known or logged):
            raise UnknownMetric(
                f"--metric {name}: expected one of {', '.join(dict.fromkeys([*known, *logged]))}"
            )
    final = [name for name in options.metrics or () if name in known]
    table = table_of(collected, replace(options, metrics=final)) if final else measured
    aggregate = conclude(table)
    metrics = list(dict.fromkeys(row.metric for row in aggregate.rows if row.metric is not None))
    told = [read_told(run) for run in collected.runs]
    return Content(
        roots=[str(root) for root in roots],
        runs=[RunLine(run, item, _manifest(run)) for run, item in zip(collected.runs, told, strict=True)],
        aggregate=aggregate,
        metrics=metrics,
        curves=_chosen(logged, options.metrics, cut),
        comparisons=_comparisons(table.measured, aggregate, metrics, options, cut),
        profiles=profiles_of(aggregate.rows, metrics[:MOST_METRICS_DRAWN], tasks, options.confidence, cut),
        promise=promise_of(collected.runs, told, _places(cwd, roots)),
        provenance=provenance_of(collected.runs, told, collected.sweeps),
        cut=cut,
    )


def _manifest(run: RunFacts) -> str | None:
    try:
        return digest_file(RunPaths(Path(run.dir)).manifest)
    except OSError:
        return None  # a run that has not ended, or was killed


def _places(cwd: Path, roots: Sequence[Path]) -> list[Path]:
    """Where reproductions of these runs may lie: wherever this project, or theirs, is known to have written."""
    projects = dict.fromkeys(project_of(folder) for folder in (cwd, *roots))
    places = [place for project in projects for place in known_places(project, cwd=cwd)]
    places += [project / FOLDER for project in projects]
    return [place for place in dict.fromkeys([*roots, *places]) if place.is_dir()]


def _curves(measured: Sequence[Measured], maker: RowMaker, cut: list[str]) -> Curves:
    """What was logged step by step: metric to the rows of each configuration."""
    having = [item for item in measured if item.runs]
    rows = rows_of_steps(having[:MOST_CURVES], maker, None, UnknownMetric, most_steps=MOST_STEPS)
    curves: dict[str, dict[str, list[AggregateRow]]] = {}
    for row in rows:
        if row.metric is not None and row.mean is not None and abs(row.mean) < LARGEST_DRAWN:
            curves.setdefault(row.metric, {}).setdefault(config_words(row.config), []).append(row)
    if curves and len(having) > MOST_CURVES:
        cut.append(
            f"Learning curves are of the first {MOST_CURVES} configurations; choose others with --where."
        )
    # One step is no curve.
    found = {metric: [rows for rows in of.values() if len(rows) > 1] for metric, of in curves.items()}
    return {metric: rows for metric, rows in found.items() if rows}


def _chosen(logged: Curves, wanted: Sequence[str] | None, cut: list[str]) -> Curves:
    names = [name for name in logged if not wanted or name in wanted]
    for name in names[MOST_METRICS_DRAWN:]:
        cut.append(f"The learning curve of {name} is not drawn; --metric chooses.")
    return {name: logged[name] for name in names[:MOST_METRICS_DRAWN]}


def _comparisons(
    measured: Sequence[Measured],
    aggregate: Aggregate,
    metrics: Sequence[str],
    options: Options,
    cut: list[str],
) -> list[Comparison]:
    if aggregate.comparisons is not None:
        return aggregate.comparisons
    candidates = [item for item in measured if item.runs]
    if len(candidates) < 2 or not metrics:
        return []
    if len(candidates) > MOST_PAIRED:
        cut.append(
            f"{len(candidates)} configurations are too many to compare each with each; "
            "name one to compare the others with: --baseline."
        )
        return []
    chosen = list(metrics) if options.metrics else list(metrics)[:1]
    if len(chosen) < len(metrics):
        cut.append(f"Configurations are compared in {chosen[0]}; --metric chooses.")
    return [
        comparison
        for metric in chosen
        for comparison in compare_pairs(
            candidates, metric, confidence=options.confidence, worth_finding=options.worth_finding
        )
    ]
