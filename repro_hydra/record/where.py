"""``--where``: an expression over what a run has recorded, read by a parser of its own and never executed.

``config.optimizer.lr < 0.1 and result.test_accuracy > 0.97 and status == 'completed'``
"""

from __future__ import annotations

import ast
import difflib
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from repro_hydra.record.schema import JSON
from repro_hydra.record.values import from_json_number

SCALARS = (
    "status",
    "upheld",
    "mode",
    "seed",
    "name",
    "tags",
    "run_id",
    "dir",
    "created_at",
    "started_at",
    "duration_s",
)
"""The names that stand for a field of the run; ``config.…``, ``result.…`` and those of files come on top."""
FILES = ("run", "code", "environment", "determinism", "data")
"""Files of a record, whose every value can be asked for: ``run.peak_memory_bytes``, ``code.commit``."""
SPACES = ("config", "result", *FILES)
OUTCOMES = frozenset({"result", "run", "status", "upheld", "duration_s"})
"""What is known only once a run was made: a selection by it is no fair sample of the seeds."""

_EXAMPLE = "config.optimizer.lr<0.1 and status=='completed'"
_MOST_NODES = 500
_CONSTANTS = {"true": True, "false": False, "null": None, "none": None, "nan": math.nan, "inf": math.inf}
_ORDER: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}

Truth = bool | None
"""None is unknown: the run does not have what is asked for."""


class WhereError(ValueError):
    """An expression that is none; the message says where it goes wrong."""


class _Absent:
    pass


_ABSENT = _Absent()


@dataclass(frozen=True, slots=True)
class RunValues:
    """What an expression can ask of one run."""

    fields: Mapping[str, JSON]
    config: Mapping[str, JSON] = field(default_factory=dict)
    """Leaves by dotted key."""
    result: Mapping[str, JSON] = field(default_factory=dict)
    file: Callable[[str], Mapping[str, JSON]] | None = None
    """The leaves of one of `FILES`, read when they are asked for."""

    def get(self, name: str) -> JSON:
        """What `name` stands for; None where the run does not have it."""
        value = _lookup(name, self)
        return None if value is _ABSENT else value


def is_name(text: str) -> bool:
    """Whether `text` can stand for a value of a run."""
    first, _, rest = text.partition(".")
    return text in SCALARS or (first in SPACES and bool(rest))


@dataclass(frozen=True, slots=True)
class Where:
    """A parsed expression."""

    text: str
    names: tuple[str, ...]
    """What it asks for, as it is written."""
    _tree: ast.expr

    def truth(self, run: RunValues) -> Truth:
        """Whether it holds for `run`; None where the run does not have what decides it.

        Notes
        -----
        Kleene's three-valued logic: a comparison with something that a run does not have is unknown, and so is
        its negation; ``unknown or True`` is True.
        """
        return _truth(self._tree, run)

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
            left = [name for name in left if _lookup(name, run) is _ABSENT]
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


# ---------------------------------------------------------------------- checking, once


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
    name = _name(node)
    if name is None:
        raise _not_understood(node, text)
    first = name.partition(".")[0]
    if name == first and name.lower() in _CONSTANTS:
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


def _name(node: ast.expr) -> str | None:
    """``config.a['b'][0].c`` as the dotted key that the record has it by."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        front = _name(node.value)
        return None if front is None else f"{front}.{node.attr}"
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        front = _name(node.value)
        key = node.slice.value
        return f"{front}.{key}" if front is not None and isinstance(key, (str, int)) else None
    return None


# ---------------------------------------------------------------------- asking, once a run


def _truth(node: ast.expr, run: RunValues) -> Truth:
    if isinstance(node, ast.BoolOp):
        truths = [_truth(part, run) for part in node.values]
        decisive = isinstance(node.op, ast.Or)
        if decisive in truths:
            return decisive
        return None if None in truths else not decisive
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = _truth(node.operand, run)
        return None if inner is None else not inner
    if isinstance(node, ast.Compare):
        return _comparison(node, run)
    value = _value(node, run)
    return value if isinstance(value, bool) else None if value is _ABSENT else bool(value)


def _comparison(node: ast.Compare, run: RunValues) -> Truth:
    values = [_value(part, run) for part in (node.left, *node.comparators)]
    truths = [_compare(op, values[place], values[place + 1]) for place, op in enumerate(node.ops)]
    return False if False in truths else None if None in truths else True


def _compare(op: ast.cmpop, left: Any, right: Any) -> Truth:
    if left is _ABSENT or right is _ABSENT:
        return None
    if isinstance(op, (ast.Eq, ast.Is)):
        return _equal(left, right)
    if isinstance(op, (ast.NotEq, ast.IsNot)):
        return not _equal(left, right)
    if isinstance(op, (ast.In, ast.NotIn)):
        found = _contains(right, left)
        return None if found is None else found is isinstance(op, ast.In)
    one, other = _number_or_text(left), _number_or_text(right)
    if one is None or type(one) is not type(other):
        return None  # a number and a word have no order
    return _ORDER[type(op)](one, other)


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right) or bool(_number_or_text(left) == _number_or_text(right))


def _contains(container: Any, item: Any) -> Truth:
    if isinstance(container, str):
        return item in container if isinstance(item, str) else None
    if isinstance(container, (list, tuple)):
        return any(_equal(item, element) for element in container)
    return None


def _number_or_text(value: Any) -> float | str | None:
    number = from_json_number(value)  # "NaN" is a number too
    return number if number is not None else str(value) if isinstance(value, str) else None


def _value(node: ast.expr, run: RunValues) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(item, run) for item in node.elts]
    if isinstance(node, ast.UnaryOp):
        assert isinstance(node.operand, ast.Constant)
        number: Any = node.operand.value
        return -number if isinstance(node.op, ast.USub) else number
    name = _name(node)
    assert name is not None
    if name.lower() in _CONSTANTS:
        return _CONSTANTS[name.lower()]
    return _lookup(name, run)


def _lookup(name: str, run: RunValues) -> Any:
    space, _, key = name.partition(".")
    if space == "config":
        return run.config.get(key, _ABSENT)
    if space == "result":
        return run.result.get(key, _ABSENT)
    if space in FILES and key:
        return run.file(space).get(key, _ABSENT) if run.file is not None else _ABSENT
    value = run.fields.get(name)
    return _ABSENT if value is None and name not in ("seed", "name") else value
