"""Whether an expression of ``--where`` holds for a run: true, false, or unknown where the run lacks what decides it.

Kleene's three-valued logic: a comparison with something that a run does not have is unknown, and so is its negation;
``unknown or True`` is True.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Any

from repro_hydra.record.run_values import ABSENT, RunValues
from repro_hydra.record.values import from_json_number

CONSTANTS = {"true": True, "false": False, "null": None, "none": None, "nan": math.nan, "inf": math.inf}
"""Words that stand for a value, and for nothing of a run."""
_ORDER: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}

Truth = bool | None
"""None is unknown: the run does not have what is asked for."""


def truth_of(node: ast.expr, run: RunValues) -> Truth:
    """Whether `node`, which `parse_where` has accepted, holds for `run`."""
    if isinstance(node, ast.BoolOp):
        truths = [truth_of(part, run) for part in node.values]
        decisive = isinstance(node.op, ast.Or)
        if decisive in truths:
            return decisive
        return None if None in truths else not decisive
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = truth_of(node.operand, run)
        return None if inner is None else not inner
    if isinstance(node, ast.Compare):
        return _comparison(node, run)
    value = _value(node, run)
    return value if isinstance(value, bool) else None if value is ABSENT else bool(value)


def _comparison(node: ast.Compare, run: RunValues) -> Truth:
    values = [_value(part, run) for part in (node.left, *node.comparators)]
    truths = [_compare(op, values[place], values[place + 1]) for place, op in enumerate(node.ops)]
    return False if False in truths else None if None in truths else True


def _compare(op: ast.cmpop, left: Any, right: Any) -> Truth:
    if left is ABSENT or right is ABSENT:
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
    name = dotted_name(node)
    assert name is not None
    if name.lower() in CONSTANTS:
        return CONSTANTS[name.lower()]
    return run.look_up(name)


def dotted_name(node: ast.expr) -> str | None:
    """``config.a['b'][0].c`` as the dotted key that the record has it by."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        front = dotted_name(node.value)
        return None if front is None else f"{front}.{node.attr}"
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        front = dotted_name(node.value)
        key = node.slice.value
        return f"{front}.{key}" if front is not None and isinstance(key, (str, int)) else None
    return None
