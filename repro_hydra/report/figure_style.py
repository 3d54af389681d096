"""How figures look: colours, markers, labels, and the sheet that each is drawn on.

Colours are those of Okabe and Ito, and every series has a marker and a line style of its own besides, so nothing rests
on colour alone. No global state of Matplotlib is touched but inside `drawing`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from repro_hydra.sweep.document import AggregateRow, Comparison
from repro_hydra.sweep.wording import config_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER = "#1b1b1b", "#595959", "#d9d9d9", "#fefefe"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Blue, vermilion, bluish green, reddish purple, orange, sky blue: the palette without black and its faint yellow."""
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1.5, 1.2)),
    (0, (6, 1.5, 1.5, 1.5)),
    (0, (3, 1)),
    (0, (8, 2)),
)
SERIES_PER_FIGURE = len(SERIES)
LARGEST_DRAWN = 1e150
"""Beyond it the arithmetic of an axis overflows; tables have such values all the same."""
_WIDTH_IN = 3.9
_LABEL = 46


@contextmanager
def drawing() -> Iterator[None]:
    """Matplotlib's settings for these figures, and its own again afterwards."""
    import matplotlib as mpl

    settings: Any = {
        "font.family": "sans-serif",
        "font.size": 8.5,
        "text.usetex": False,
        "text.parse_math": False,  # a metric's name may hold a dollar sign
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "axes.titlesize": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.formatter.useoffset": False,
        "axes.axisbelow": True,
        "grid.color": GRID,
        "grid.linewidth": 0.6,
        "text.color": INK,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "lines.linewidth": 1.6,
        "path.simplify": True,
        "pdf.fonttype": 42,  # embedded as TrueType, which publishers ask for
        "figure.dpi": 100,
    }
    with mpl.rc_context(settings), warnings.catch_warnings():
        # In the page the browser's fonts have it; in a file the glyph is an empty box, which everybody sees.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        yield


def label_of(row: AggregateRow | Comparison) -> str:
    """The configuration as a figure has room for it."""
    return shortened(config_words(row.config))


def shortened(text: str, most: int = _LABEL) -> str:
    """`text` with its middle cut out where it is too long: its ends are what tells configurations apart."""
    text = printable(text)
    if len(text) <= most:
        return text
    head = (most - 1) * 2 // 3
    return f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"


def printable(text: str) -> str:
    """`text` without what no XML or font can hold: control characters, halves of characters."""
    whole = text.encode("utf-8", "replace").decode()
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in whole)


def new_sheet(height_in: float) -> tuple[Figure, Axes]:
    """A figure of the page's width with one set of axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH_IN, height_in), layout="constrained")
    figure.patch.set_alpha(0.0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0.0)
    return figure, axes


def label_strips(axes: Axes, labels: Sequence[str]) -> None:
    """Horizontal strips, each with its label above it: a label beside it would leave a telephone no room."""
    for place, label in enumerate(labels):
        axes.text(
            0.0,
            -place + 0.12,
            label,
            transform=axes.get_yaxis_transform(),
            fontsize=8,
            va="bottom",
            ha="left",
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6},  # lines go behind it
        )
        if place:
            axes.axhline(-place + 0.45, color=GRID, linewidth=0.6)
    axes.set_ylim(-len(labels) + 0.45, 0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y", visible=False)
    axes.locator_params(axis="x", nbins=5)
    axes.margins(x=0.04)


def add_legend(axes: Axes, labels: Sequence[str]) -> None:
    """Below the axes, each series by its colour, line and marker."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=SERIES[place], linestyle=DASHES[place], marker=MARKERS[place], markersize=4)
        for place in range(len(labels))
    ]
    # A label that begins with an underscore would be left out: a blank before it is not seen.
    shown = [f" {label}" for label in labels]
    axes.figure.legend(handles, shown, loc="outside lower left", handlelength=3.2, borderaxespad=0.2)


def is_drawable(*values: float) -> bool:
    """Whether an axis can hold them."""
    return all(abs(value) < LARGEST_DRAWN for value in values)  # NaN is not
