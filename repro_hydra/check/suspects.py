"""Lines of the user's code that a cause may lie in, where no hook can see them: what iterates a set is not a call."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

_SETS = frozenset(("set", "frozenset"))
_IN_ORDER = frozenset(
    ("list", "tuple", "enumerate", "zip", "iter", "next", "map", "filter", "array", "tensor", "join")
)
_UNWRITTEN = frozenset(("empty", "empty_like", "empty_strided", "new_empty", "resize_", "ndarray"))


def lines_of(kind: str, files: Sequence[str]) -> list[tuple[str, int]]:
    """File and line of what could make the hash seed, addresses or fresh memory matter."""
    finders: dict[str, Callable[[ast.AST], Iterator[int]]] = {
        "hash seed": lambda tree: _order_of_sets(tree, "hash"),
        "addresses": lambda tree: _order_of_sets(tree, "id"),
        "memory": _unwritten,
    }
    find = finders.get(kind)
    if find is None:
        return []
    found = []
    for file in files:
        try:
            tree = ast.parse(Path(file).read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue
        found += [(file, line) for line in sorted(set(find(tree)))]
    return found


def _order_of_sets(tree: ast.AST, function: str) -> Iterator[int]:
    sets = _names_of_sets(tree)

    def is_set(node: ast.AST) -> bool:
        if isinstance(node, (ast.Set, ast.SetComp)):
            return True
        if isinstance(node, ast.Call):
            return _tail(node.func) in _SETS
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.BitOr, ast.BitAnd, ast.Sub, ast.BitXor)):
            return is_set(node.left) or is_set(node.right)
        return isinstance(node, ast.Name) and node.id in sets

    for node in ast.walk(tree):
        if isinstance(node, ast.For) and is_set(node.iter):
            yield node.iter.lineno
        elif isinstance(node, (ast.ListComp, ast.GeneratorExp, ast.DictComp)):
            yield from (part.iter.lineno for part in node.generators if is_set(part.iter))
        elif isinstance(node, ast.Starred) and is_set(node.value):
            yield node.lineno
        elif isinstance(node, ast.Call):
            name = _tail(node.func)
            taken = node.func.value if isinstance(node.func, ast.Attribute) and name == "pop" else None
            in_order = name in _IN_ORDER and any(is_set(argument) for argument in node.args)
            if name == function or in_order or (taken is not None and is_set(taken)):
                yield node.lineno


def _names_of_sets(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            value = node.value
            made = isinstance(value, (ast.Set, ast.SetComp)) or (
                isinstance(value, ast.Call) and _tail(value.func) in _SETS
            )
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if made:
                found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def _unwritten(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _tail(node.func) in _UNWRITTEN:
            yield node.lineno


def _tail(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
