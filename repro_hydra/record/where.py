"""``--where``: an expression over what a run has recorded, read by a parser of its own and never executed.

``config.optimizer.lr < 0.1 and result.test_accuracy > 0.97 and status == 'completed'``
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from repro_hydra.record.run_values import ABSENT, FILES, OUTCOMES, SCALARS, SPACES, RunValues
from repro_hydra.record.three_valued import CONSTANTS, Truth, dotted_name, truth_of

_EXAMPLE = "config.optimizer.lr<0.1 and status=='completed'"
_MOST_NODES = 500


class WhereError(ValueError):
    """An expression that is none; the message says where it goes wrong."""


@dataclass(frozen=True, slots=True)
class Where:
    """A parsed expression."""

    text: str
    names: tuple[str, ...]
    """What it asks for, as it is written."""
    _tree: ast.expr

    def truth(self, run: RunValues) -> Truth:
        """Whether it holds for `run`; None where the run does not have what decides it."""
        return truth_of(self._tree, run)

    def selects(self, run: RunValues) -> bool:
        """Whether it holds for certain."""
        return self.truth(run) is True

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Those of its names that only a finished run can answer."""
        return tuple(name for name in self.names if name.partition(".")[0] in OUTCOMES)

    def unknown_names(self, runs: Iterable[RunValues]) -> list[str]:
        """Those of its names that none of `runs` has: mistyped, most likely."""
        left = [name for name in self.names if name.partition(".")[0] in SPACES]
        for run in runs:
            left = [name for name in left if run.look_up(name) is ABSENT]
            if not left:
                break
        return left


def parse_where(text: str) -> Where:
    """Read an expression.

    Comparisons (``== != < <= > >= in``, ``not in``, ``is``, chained ones too), ``and``, ``or``, ``not``, numbers,
    strings, lists, and the names of a run: ``status``, ``seed``, ``config.KEY``, ``result.METRIC`` (also as
    ``result['a metric']``), and every value of a record's files: ``code.commit``. Nothing else: no calls, no
    arithmetic.

    Raises
    ------
    WhereError
        With the place, what was expected and what was found.

    Examples
    --------
    >>> where = parse_where("config.lr < 0.1 and seed in [1, 2]")
    >>> where.selects(RunValues({"seed": 2}, config={"lr": 0.01}))
    True
    """
    stripped = text.strip()
    try:
        tree = ast.parse(stripped, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        place = getattr(error, "offset", None)
        at = f" at character {place}" if place else ""
        reason = getattr(error, "msg", None) or "no expression"
        raise WhereError(f"--where {text!r}: {reason}{at}. Expected e.g. {_EXAMPLE}") from None
    nodes = sum(1 for _ in ast.walk(tree))
    if nodes > _MOST_NODES:
        raise WhereError(f"--where: expected at most {_MOST_NODES} parts, found {nodes}")
    names: dict[str, None] = {}
    _check_truth(tree, text, names)
    return Where(text, tuple(names), tree)


def _check_truth(node: ast.expr, text: str, names: dict[str, None]) -> None:
    if isinstance(node, ast.BoolOp):
        for part in node.values:
            _check_truth(part, text, names)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        _check_truth(node.operand, text, names)
    elif isinstance(node, ast.Compare):
        for part in (node.left, *node.comparators):
            _check_value(part, text, names)
    else:  # a truth value by itself: config.use_ema
        _check_value(node, text, names)


def _check_value(node: ast.expr, text: str, names: dict[str, None]) -> None:
    if isinstance(node, (ast.List, ast.Tuple)):
        for item in node.elts:
            _check_value(item, text, names)
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float, str, bool, type(None))):
        return
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        if isinstance(node.operand, ast.Constant) and isinstance(node.operand.value, (int, float)):
            return
        raise _not_understood(node, text)
    name = dotted_name(node)
    if name is None:
        raise _not_understood(node, text)
    first = name.partition(".")[0]
    if name == first and name.lower() in CONSTANTS:
        return
    if (first in SPACES and name != first) or name in SCALARS:
        names[name] = None
    else:
        raise _no_such_name(name, text)


def _not_understood(node: ast.expr, text: str) -> WhereError:
    found = ast.get_source_segment(text.strip(), node) or type(node).__name__
    return WhereError(
        f"--where {text!r}: {found!r} is not understood: expected comparisons of recorded values, joined by and, or, "
        f"not; e.g. {_EXAMPLE}"
    )


def _no_such_name(name: str, text: str) -> WhereError:
    near = difflib.get_close_matches(name, SCALARS, n=1)
    hint = f" Did you mean {near[0]}, config.{name} or result.{name}?" if near else ""
    return WhereError(
        f"--where {text!r}: expected {', '.join(SCALARS)}, config.KEY, result.METRIC or FILE.KEY of "
        f"{', '.join(FILES)}, found {name!r}." + (hint or f" Write config.{name} or result.{name}")
    )
