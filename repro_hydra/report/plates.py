"""Which figures a report has, in their order, and how many of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from repro_hydra.report import figures
from repro_hydra.report.content import MOST_FIGURES, MOST_METRICS_DRAWN, MOST_STRIPS, Content
from repro_hydra.report.figure_style import SERIES_PER_FIGURE
from repro_hydra.report.figures import Drawn
from repro_hydra.sweep.document import Comparison

T = TypeVar("T")


@dataclass(slots=True)
class Plates:
    """The figures by section."""

    points: list[Drawn] = field(default_factory=list)
    curves: list[Drawn] = field(default_factory=list)
    differences: list[Drawn] = field(default_factory=list)
    profiles: list[Drawn] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)
    """What is not drawn, in sentences."""

    def all(self) -> list[Drawn]:
        """In the order of the page."""
        return [*self.points, *self.curves, *self.differences, *self.profiles]


def plates_of(content: Content) -> Plates:
    """The figures of `content`; none is drawn yet."""
    plates = Plates()
    pages = _Pages(plates.cut)
    for metric in content.metrics[:MOST_METRICS_DRAWN]:
        rows = [row for row in content.aggregate.rows if row.metric == metric and row.n]
        plates.points += pages("seeds", metric, rows, MOST_STRIPS, figures.seed_points)
    for metric in content.metrics[MOST_METRICS_DRAWN:]:
        plates.cut.append(f"{metric} is in the table and not drawn; --metric chooses.")
    for metric, of in content.curves.items():
        plates.curves += pages("curves", metric, of, SERIES_PER_FIGURE, figures.curves)
    for metric, made in _by_metric(content.comparisons).items():
        plates.differences += pages("differences", metric, made, MOST_STRIPS, figures.differences)
    for profile in content.profiles:
        draw = partial(figures.profiles, tasks=max(1, len(profile.tasks)))
        plates.profiles += pages("profile", profile.axis, profile.named, SERIES_PER_FIGURE, draw)
    return plates


def _by_metric(comparisons: Sequence[Comparison]) -> dict[str, list[Comparison]]:
    found: dict[str, list[Comparison]] = {}
    for item in comparisons:
        if item.difference is not None:
            found.setdefault(item.metric, []).append(item)
    return dict(list(found.items())[:MOST_METRICS_DRAWN])


class _Pages:
    """Several figures where one has not room for all, and a sentence where even these have not."""

    def __init__(self, cut: list[str]) -> None:
        self._cut = cut
        self._names = _Names()

    def __call__(
        self,
        kind: str,
        metric: str,
        items: Sequence[T],
        each: int,
        draw: Callable[[str, str, Sequence[T], str], Drawn],
    ) -> list[Drawn]:
        most = each * MOST_FIGURES
        if len(items) > most:
            self._cut.append(f"{metric}: the {kind} of the first {most} of {len(items)} are drawn.")
        pages = [items[start : start + each] for start in range(0, min(len(items), most), each)]
        return [
            draw(
                self._names(kind, metric),
                metric,
                page,
                f" ({place * each + 1} to {place * each + len(page)} of {len(items)})"
                if len(pages) > 1
                else "",
            )
            for place, page in enumerate(pages)
        ]


class _Names:
    """Names for files, each once: of letters, digits and dashes, whatever the metric is called."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def __call__(self, kind: str, metric: str) -> str:
        stem = f"{kind}-{re.sub(r'[^A-Za-z0-9]+', '-', metric).strip('-')[:60] or 'metric'}"
        name, number = stem, 1
        while name.lower() in self._taken:  # some file systems do not tell case apart
            number += 1
            name = f"{stem}-{number}"
        self._taken.add(name.lower())
        return name
