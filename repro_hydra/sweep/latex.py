"""The aggregate as a LaTeX table (booktabs), every number rounded to its uncertainty."""

from __future__ import annotations

import re

from repro_hydra.sweep.document import Aggregate, AggregateRow
from repro_hydra.sweep.render import lines_below
from repro_hydra.sweep.table import clean
from repro_hydra.sweep.wording import as_written, number, plus_minus, rounded_to

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
}
_PATTERN = re.compile("|".join(map(re.escape, _SPECIAL)))


def escape(text: str) -> str:
    """`text` as LaTeX prints it, whatever it holds."""
    return _PATTERN.sub(lambda match: _SPECIAL[match.group()], clean(text))


def to_latex(aggregate: Aggregate, *, confidence: float = 0.95) -> str:
    """A ``tabular`` with booktabs' rules; what a reader must know of the rows follows as comments.

    The mean is followed by the half-width of its interval, both to the digit that two significant digits of the
    half-width leave. A row without an interval has its mean alone.
    """
    rows = aggregate.rows
    keys = list(dict.fromkeys(key for row in rows for key in row.config))
    with_steps = any(row.step is not None for row in rows)
    level = rows[0].confidence if rows else confidence
    heads = [*map(escape, keys), "metric", *(["step"] if with_steps else []), "$n$"]
    heads += [rf"mean $\pm$ {escape(f'{level * 100:g} % interval')}", "std", "CoV"]
    layout = "l" * (len(keys) + 1) + "r" * (len(heads) - len(keys) - 1)
    lines = [
        r"% needs \usepackage{booktabs}",
        rf"\begin{{tabular}}{{{layout}}}",
        r"\toprule",
        " & ".join(heads) + r" \\",
        r"\midrule",
        *(" & ".join(_cells(row, keys, with_steps)) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        *(f"% {clean(line)}" for line in lines_below(aggregate)),
    ]
    return "\n".join(lines) + "\n"


def _cells(row: AggregateRow, keys: list[str], with_steps: bool) -> list[str]:
    cells = [escape(as_written(row.config[key])) if key in row.config else "" for key in keys]
    cells.append(escape(row.metric or ""))
    if with_steps:
        cells.append("" if row.step is None else str(row.step))
    cells.append(str(row.n) if row.planned is None else f"{row.n} of {row.planned}")
    return [*cells, _mean(row), _std(row), _math(number(row.coefficient_of_variation, 2))]


def _mean(row: AggregateRow) -> str:
    if row.mean is None:
        return "--"
    if row.ci_low is None or row.ci_high is None or row.ci_high == row.ci_low:
        return _math(number(row.mean))
    return _math(plus_minus(row.mean, (row.ci_high - row.ci_low) / 2.0, sign=r"\pm"))


def _std(row: AggregateRow) -> str:
    return "--" if row.std is None else _math(rounded_to(row.std, row.std))


def _math(text: str) -> str:
    if text == "—":
        return "--"
    return "$" + re.sub(r"e([+-]?)0*(\d+)", lambda m: rf"\times 10^{{{m[1].strip('+')}{m[2]}}}", text) + "$"
