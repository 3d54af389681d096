"""The figures of a report: drawn with Matplotlib, for the page and, by ``--figures``, for a paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from repro_hydra.record.values import from_json_number
from repro_hydra.report.figure_style import (
    DASHES,
    MARKERS,
    MUTED,
    SERIES,
    add_legend,
    is_drawable,
    label_of,
    label_strips,
    new_sheet,
    shortened,
)
from repro_hydra.sweep.document import AggregateRow, Comparison
from repro_hydra.sweep.wording import config_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from repro_hydra.stats.profile import PerformanceProfile

_STRIP_IN = 0.36
_MOST_DOTS = 60


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure, and what it shows in words."""

    name: str
    """Of its file, without the ending."""
    title: str
    description: str
    draw: Callable[[], Figure]


def seed_points(name: str, metric: str, rows: Sequence[AggregateRow], part: str = "") -> Drawn:
    """Every seed of every configuration, with mean and interval."""
    level = f"{rows[0].confidence * 100:g} %"
    words = [f"{config_words(row.config)}: {len(row.values)} seeds" for row in rows[:3]]
    more = f", and {len(rows) - 3} more configurations" if len(rows) > 3 else ""
    description = (
        f"One dot a seed, a bar at the mean, a line over its {level} interval, for {'; '.join(words)}{more}. "
        "The numbers are in the table of results."
    )

    def draw() -> Figure:
        figure, axes = new_sheet(len(rows) * _STRIP_IN + 0.55)
        for place, row in enumerate(rows):
            _strip(axes, row, -float(place))
        label_strips(axes, [label_of(row) for row in rows])
        axes.set_xlabel(shortened(metric))
        return figure

    return Drawn(name, f"{metric}: every seed, mean and {level} interval{part}", description, draw)


def _strip(axes: Axes, row: AggregateRow, y: float) -> None:
    values = [value for item in row.values if (value := from_json_number(item)) is not None]
    finite = [value for value in values if is_drawable(value)][:_MOST_DOTS]
    # A fixed, small zigzag keeps equal values apart without a random jitter.
    heights = [y - 0.10 + 0.05 * (index % 3) - 0.05 for index in range(len(finite))]
    axes.plot(
        finite,
        heights,
        linestyle="none",
        marker="o",
        markersize=4,
        color=SERIES[0],
        alpha=0.65,
        markeredgewidth=0,
    )
    if row.mean is None or not is_drawable(row.mean):
        return
    if row.ci_low is not None and row.ci_high is not None and is_drawable(row.ci_low, row.ci_high):
        axes.plot(
            [row.ci_low, row.ci_high], [y - 0.30] * 2, color=SERIES[1], linewidth=1.8, solid_capstyle="butt"
        )
    axes.plot([row.mean], [y - 0.30], marker="|", markersize=9, markeredgewidth=2, color=SERIES[1])


def curves(name: str, metric: str, rows_of: Sequence[Sequence[AggregateRow]], part: str = "") -> Drawn:
    """The mean of each configuration at each step, with its interval as a band."""
    level = f"{rows_of[0][0].confidence * 100:g} %"
    last = "; ".join(f"{config_words(rows[-1].config)}: {_rough(rows[-1].mean)}" for rows in rows_of)
    description = (
        f"Mean over the seeds at each step, with the {level} interval as a band. At the last step: {last}."
    )

    def draw() -> Figure:
        figure, axes = new_sheet(2.5 + 0.17 * len(rows_of))
        for place, rows in enumerate(rows_of):
            _curve(axes, rows, place)
        axes.set_xlabel("step")
        axes.set_ylabel(shortened(metric, 34))
        add_legend(axes, [label_of(rows[0]) for rows in rows_of])
        return figure

    return Drawn(name, f"{metric}: learning curves, mean and {level} band{part}", description, draw)


def _curve(axes: Axes, rows: Sequence[AggregateRow], place: int) -> None:
    known = [row for row in rows if row.mean is not None and row.step is not None]
    steps = [float(row.step or 0) for row in known]
    band = [
        row
        for row in known
        if row.ci_low is not None and row.ci_high is not None and is_drawable(row.ci_low, row.ci_high)
    ]
    colour = SERIES[place]
    axes.fill_between(
        [float(row.step or 0) for row in band],
        [row.ci_low or 0.0 for row in band],
        [row.ci_high or 0.0 for row in band],
        color=colour,
        alpha=0.18,
        linewidth=0,
    )
    axes.plot(
        steps,
        [row.mean or 0.0 for row in known],
        color=colour,
        linestyle=DASHES[place],
        marker=MARKERS[place],
        markersize=4,
        markevery=(place, max(1, len(known) // 6)),
    )


def differences(name: str, metric: str, comparisons: Sequence[Comparison], part: str = "") -> Drawn:
    """The differences that were compared, with their intervals."""
    level = f"{comparisons[0].confidence * 100:g} %"
    decided = sum(bool(item.decided) for item in comparisons)
    description = (
        f"Differences of means with {level} intervals, {len(comparisons)} comparisons of which {decided} are decided "
        "(filled squares). The sentences beside it say each in words."
    )

    def draw() -> Figure:
        figure, axes = new_sheet(len(comparisons) * _STRIP_IN + 0.55)
        for place, item in enumerate(comparisons):
            y = -float(place) - 0.2
            if item.difference is None or not is_drawable(item.difference):
                continue
            if (
                item.ci_low is not None
                and item.ci_high is not None
                and is_drawable(item.ci_low, item.ci_high)
            ):
                axes.plot([item.ci_low, item.ci_high], [y, y], color=SERIES[0], linewidth=1.8)
            face = SERIES[0] if item.decided else "none"
            axes.plot(
                [item.difference],
                [y],
                marker="s",
                markersize=5,
                color=SERIES[0],
                markerfacecolor=face,
                linestyle="none",
            )
        axes.axvline(0.0, color=MUTED, linewidth=1.0)
        names = [
            f"{shortened(config_words(item.config), 27)} - {shortened(config_words(item.baseline), 27)}"
            for item in comparisons
        ]
        label_strips(axes, names)
        axes.set_xlabel(f"difference in {shortened(metric, 40)}")
        return figure

    return Drawn(name, f"{metric}: differences with {level} intervals{part}", description, draw)


def profiles(
    name: str, metric: str, named: Sequence[tuple[str, PerformanceProfile]], part: str = "", *, tasks: int = 1
) -> Drawn:
    """Performance profiles: the share of runs above each value."""
    level = f"{named[0][1].confidence * 100:g} %"
    over = f", averaged over {tasks} tasks" if tasks > 1 else ""
    description = (
        f"For each value of {metric}, the share of the runs that lie above it{over}, with a {level} bootstrap band "
        f"point by point, for {', '.join(label for label, _ in named)}."
    )

    def draw() -> Figure:
        figure, axes = new_sheet(2.4 + 0.17 * len(named))
        for place, (_, profile) in enumerate(named):
            x = list(profile.thresholds)
            if profile.low:
                axes.fill_between(
                    x,
                    list(profile.low),
                    list(profile.high),
                    step="post",
                    color=SERIES[place],
                    alpha=0.15,
                    linewidth=0,
                )
            axes.plot(
                x,
                list(profile.share),
                drawstyle="steps-post",
                color=SERIES[place],
                linestyle=DASHES[place],
                marker=MARKERS[place],
                markersize=4,
                markevery=(2 * place + 1, max(1, len(x) // 5)),
            )
        axes.set_ylim(-0.03, 1.03)
        axes.locator_params(axis="x", nbins=5)
        axes.set_xlabel(shortened(metric))
        axes.set_ylabel("share of runs above")
        add_legend(axes, [shortened(label) for label, _ in named])
        return figure

    return Drawn(name, f"{metric}: performance profile{over}, {level} band{part}", description, draw)


def _rough(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"
