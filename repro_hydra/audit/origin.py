"""Where a seed's value came from, as far as the source around the call tells.

Somebody who seeds again with ``cfg.seed + epoch`` does well; somebody who does it with 42, whatever the config says,
makes every seed of a sweep the same. The value alone does not tell which: so the names in the call's arguments are
followed through the assignments of the function, and of its callers as long as they come in as parameters, to a value
that is the run's seed, to a clock, to a call that can't be followed (no accusation), or to constants.
"""

from __future__ import annotations

import ast
import enum
import inspect
import linecache
import re
import textwrap
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any

import msgspec

from repro_hydra.sites import callers

_MISSING = object()
_DEEPEST = 25
_CLOCKS = frozenset(
    (
        *("time", "time_ns", "perf_counter", "perf_counter_ns", "monotonic", "monotonic_ns", "now", "utcnow"),
        *(
            "today",
            "timestamp",
            "getpid",
            "urandom",
            "uuid1",
            "uuid4",
            "randbits",
            "token_bytes",
            "token_hex",
        ),
    )
)
_PLAIN = frozenset(
    (
        *("int", "abs", "hash", "min", "max", "round", "str", "float", "len", "sum"),
        *("range", "enumerate", "zip", "sorted", "tuple", "list"),
    )
)


class Origin(enum.Enum):
    """What a seed depends on."""

    own = "own"
    derived = "derived"
    unknown = "unknown"
    constant = "constant"
    clock = "clock"


def origin_of(frame: FrameType, value: Any, own: Collection[int]) -> Origin:
    """What the value that `frame` seeds with depends on."""
    if _is_one_of(value, own):
        return Origin.own
    unfollowed = False
    for caller, _ in zip(callers(frame), range(_DEEPEST), strict=False):
        flow = _flow(caller)
        if flow is None:
            return Origin.unknown
        if flow.calls & _CLOCKS:
            return Origin.clock
        found = [_evaluate(node, caller) for node in flow.names]
        if any(_is_one_of(item, own) for item in found):
            return Origin.derived
        unfollowed = unfollowed or bool(flow.calls - _PLAIN) or _set_from_a_seed(flow, caller)
        if unfollowed or not flow.parameters:
            break
    return Origin.unknown if unfollowed else Origin.constant


def text_of_call(frame: FrameType) -> str:
    """The source of the call that `frame` is at; its line before Python 3.11, which does not tell columns."""
    lines = linecache.getlines(frame.f_code.co_filename, frame.f_globals)
    position = _position(frame)
    if position is None or not lines:
        return lines[frame.f_lineno - 1] if 0 < frame.f_lineno <= len(lines) else ""
    first, last, start, end = position
    part = [line.encode() for line in lines[first - 1 : last]]
    if not part:
        return ""
    part[-1] = part[-1][:end]
    part[0] = part[0][start:]
    return b"".join(part).decode(errors="replace")


class _Flow(msgspec.Struct, frozen=True):
    """What the arguments of a call depend on, within its function."""

    names: tuple[ast.expr, ...]
    calls: frozenset[str]
    parameters: bool
    """Whether a parameter of the function is among them, so that its caller decides."""


def _flow(frame: FrameType) -> _Flow | None:
    tree = _tree_of(frame.f_code)
    if tree is None:
        return None
    call = _call_at(tree, frame)
    if call is None:
        return None
    sources = _assignments(tree)
    to_do: list[ast.expr] = [*call.args, *(keyword.value for keyword in call.keywords)]
    seen: set[str] = set()
    names: list[ast.expr] = []
    calls: set[str] = set()
    while to_do:
        for node in _parts(to_do.pop()):
            if isinstance(node, ast.Call):
                calls.add(_tail(node.func))
            else:
                names.append(node)
                root = _root(node)
                if root is not None and root not in seen:
                    seen.add(root)
                    to_do += sources.get(root, [])
    code = frame.f_code
    parameters = set(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + 2])
    whole = {node.id for node in names if isinstance(node, ast.Name)}
    return _Flow(tuple(names), frozenset(calls), bool(whole & parameters - set(sources)))


def _parts(expression: ast.expr) -> Iterator[ast.expr]:
    """The names, attributes, items and calls of an expression; an attribute's own root is not one more."""
    if isinstance(expression, (ast.Name, ast.Attribute, ast.Subscript)) and _root(expression) is not None:
        yield expression
        return
    if isinstance(expression, ast.Call):
        yield expression
        if isinstance(expression.func, ast.Attribute):
            yield from _parts(expression.func.value)
        for argument in [*expression.args, *(keyword.value for keyword in expression.keywords)]:
            yield from _parts(argument)
        return
    for child in ast.iter_child_nodes(expression):
        if isinstance(child, ast.expr):
            yield from _parts(child)
        elif isinstance(child, ast.comprehension):
            yield from _parts(child.iter)


def _root(node: ast.expr) -> str | None:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        if isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Constant):
            return None
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _tail(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else "?"


def _assignments(tree: ast.AST) -> dict[str, list[ast.expr]]:
    found: dict[str, list[ast.expr]] = {}

    def note(target: ast.expr, value: ast.expr) -> None:
        for node in ast.walk(target):
            if isinstance(node, ast.Name):
                found.setdefault(node.id, []).append(value)

    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                note(target, node.value)
        elif isinstance(node, (ast.AugAssign, ast.NamedExpr)) or (
            isinstance(node, ast.AnnAssign) and node.value is not None
        ):
            note(node.target, node.value)  # type: ignore[arg-type]
        elif isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
            note(node.target, node.iter)
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            note(node.optional_vars, node.context_expr)
    return found


@lru_cache(maxsize=256)
def _tree_of(code: CodeType) -> ast.AST | None:
    """The function's own source, with line numbers as in its file; the whole file for a module's code."""
    try:
        if code.co_name == "<module>":
            return ast.parse("".join(linecache.getlines(code.co_filename)))
        lines, first = inspect.getsourcelines(code)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, SyntaxError, TypeError, ValueError, IndexError):
        return None
    return ast.increment_lineno(tree, first - 1)


def _call_at(tree: ast.AST, frame: FrameType) -> ast.Call | None:
    line = frame.f_lineno
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    position = _position(frame)
    if position is not None and frame.f_code.co_name != "<module>" and around:
        width = position[3] - position[2]
        exact = [
            node
            for node in around
            if (node.lineno, node.end_lineno) == position[:2]
            and (position[0] != position[1] or (node.end_col_offset or 0) - node.col_offset == width)
        ]
        around = exact or around
    # The one that starts first on the line is the outermost of nested ones.
    return min(around, key=lambda node: (-node.lineno, node.col_offset), default=None)


def _position(frame: FrameType) -> tuple[int, int, int, int] | None:
    positions = getattr(frame.f_code, "co_positions", None)
    if positions is None:
        return None
    for number, position in enumerate(positions()):
        if number == frame.f_lasti // 2:
            return None if None in position else position
    return None


def _evaluate(node: ast.expr, frame: FrameType) -> Any:
    """The value of a name with attributes and constant keys; nothing is called for it but a mapping's ``get``."""
    if isinstance(node, ast.Name):
        return frame.f_locals.get(node.id, frame.f_globals.get(node.id, _MISSING))
    if not isinstance(node, (ast.Attribute, ast.Subscript)):
        return _MISSING
    holder = _evaluate(node.value, frame)
    key = node.attr if isinstance(node, ast.Attribute) else getattr(node.slice, "value", None)
    try:
        if isinstance(holder, Mapping):
            return holder.get(key, _MISSING)
        if isinstance(node, ast.Attribute):
            return vars(holder).get(key, _MISSING)
        return holder[key] if isinstance(holder, (list, tuple)) and isinstance(key, int) else _MISSING
    except Exception:  # noqa: BLE001 (a mapping of the user's, which may do anything)
        return _MISSING


def _is_one_of(value: Any, own: Collection[int]) -> bool:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        return False
    try:
        return int(value) in own
    except (TypeError, ValueError, RuntimeError):
        return False


def _set_from_a_seed(flow: _Flow, frame: FrameType) -> bool:
    """Whether an attribute (``self.seed``) is assigned, in the same file, what is computed from some seed."""
    attributes = {node.attr for node in flow.names if isinstance(node, ast.Attribute)}
    if not attributes:
        return False
    source = "".join(linecache.getlines(frame.f_code.co_filename, frame.f_globals))
    names = "|".join(re.escape(name) for name in attributes)
    computed = rf"\.(?:{names})\s*(?::[^=\n]+)?=[^=\n]*seed\w*[\])]*\s*[-+*%^(]"
    return re.search(computed, source) is not None
