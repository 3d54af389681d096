"""What the script's top level did before the session could watch: looked for in its source, confirmed in its state.

Only statements that surely ran are looked at: those at the top of a file, outside functions and ``if`` blocks.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from repro_hydra.audit import numpy_hooks, torch_hooks, variable_reads
from repro_hydra.audit.book import AuditBook
from repro_hydra.imports import is_imported
from repro_hydra.sites import Site, shorten, users_modules

# Most files have no such line, and are not parsed for one.
_SUSPICIOUS = re.compile(
    r"^(?!\s|#|def |class |import |from |@|async ).*"
    r"(default_rng|RandomState|SeedSequence|Random|seed|random|rand\w*|urandom|uuid4|token_\w+|shuffle|choice|"
    r"sample|normal|uniform|permutation|Generator)\s*\(",
    re.MULTILINE,
)
_VARIABLES = re.compile(r"environ|getenv")
_SEEDS = re.compile(r"\bseed\w*\s*\(\s*[^)\s]")


def look(audit: AuditBook, is_unrecorded: variable_reads.IsUnrecorded) -> None:
    """Report what the user's top-level code did without a seed, drew before its seed was set, or read undeclared.

    Parameters
    ----------
    is_unrecorded : callable
        Whether an environment variable (name, value) is an input that the record does not hold.
    """
    consumed = _consumed()
    makers = _makers()
    for filename, module in users_modules():
        try:
            text = Path(filename).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if _VARIABLES.search(text) is not None:
            for name, line in _variables_read(text, module):
                if name in os.environ and is_unrecorded(name, os.environ[name]):
                    variable_reads.report(audit, name, Site(shorten(filename, audit.start), line))
        if _SUSPICIOUS.search(text) is None:
            continue
        for call in _top_level_calls(text):
            site = Site(shorten(filename, audit.start), call.lineno)
            function = _resolve(call.func, module)
            _judge(audit, call, function, site, makers)
            for library, drawn_by in consumed.items():
                if drawn_by(function) and not (library == "random" and _SEEDS.search(text)):
                    _report_draw(audit, library, site)


def _judge(audit: AuditBook, call: ast.Call, function: Any, site: Site, makers: dict[int, str]) -> None:
    name = makers.get(id(function))
    if name is None:
        return
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    if name.startswith(("os.", "uuid.", "secrets.")):
        audit.entropy(name, site)
    elif not given or all(isinstance(node, ast.Constant) and node.value is None for node in given):
        audit.unseeded(name, site)


def _report_draw(audit: AuditBook, library: str, site: Site) -> None:
    audit.add(
        f"drawn-before-seeding:{library}@{site}",
        "may_change_bits",
        f"{site}: draws from {library}'s global generator before the run's seed was set: at the top of the script "
        "it still has the system's. Move it into the task, or use repro_hydra.rng(name)",
        site,
    )


def _makers() -> dict[int, str]:
    """Id of each function that makes a generator, or asks the system, to its name."""
    wanted = {
        "random": ("Random", "SystemRandom"),
        "os": ("urandom",),
        "uuid": ("uuid4", "uuid1"),
        "secrets": ("token_bytes", "token_hex", "token_urlsafe", "randbits", "randbelow", "choice"),
        "numpy.random": (
            *(
                "default_rng",
                "RandomState",
                "SeedSequence",
                "PCG64",
                "PCG64DXSM",
                "Philox",
                "SFC64",
                "MT19937",
            ),
        ),
    }
    found = {}
    for name, attributes in wanted.items():
        module = sys.modules.get(name)
        for attribute in attributes:
            if module is not None and hasattr(module, attribute):
                found[id(getattr(module, attribute))] = f"{name}.{attribute}"
    return found


def _consumed() -> dict[str, Callable[[Any], bool]]:
    """The libraries whose global generator was drawn from while it had the system's seed, and what draws from it."""
    found: dict[str, Callable[[Any], bool]] = {}
    import random

    if random.getstate()[1][-1] != 624 or random.getstate()[2] is not None:
        shared = random._inst
        found["random"] = lambda function: getattr(function, "__self__", None) is shared
    # NumPy imports its generators when they are first asked for: without them nothing was drawn.
    numpy_random: Any = sys.modules.get("numpy.random") if is_imported("numpy.random") else None
    torch = sys.modules.get("torch") if is_imported("torch") else None
    if numpy_random is not None and numpy_hooks.is_fresh_and_consumed(numpy_random):
        drawer = numpy_random.mtrand._rand
        found["numpy.random"] = lambda function: getattr(function, "__self__", None) is drawer
    if torch is not None and torch_hooks.is_fresh_and_consumed(torch):
        names = ("rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial")
        functions = [id(getattr(torch, name)) for name in names]
        found["torch"] = lambda function: id(function) in functions
    return found


def _top_level_calls(text: str) -> Iterator[ast.Call]:
    for statement in _parsed(text):
        if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr)):
            lambdas = {
                id(inner)
                for node in ast.walk(statement)
                if isinstance(node, (ast.Lambda, ast.IfExp, ast.BoolOp))
                for inner in ast.walk(node)
            }
            for node in ast.walk(statement):
                if isinstance(node, ast.Call) and id(node) not in lambdas:
                    yield node


def _variables_read(text: str, module: ModuleType) -> Iterator[tuple[str, int]]:
    """Name and line of each environment variable that the file's top level asks for by name."""
    for node in _run_at_import(_parsed(text)):
        asked: ast.expr | None = None
        line = getattr(node, "lineno", 1)
        if isinstance(node, ast.Subscript) and _resolve(node.value, module) is os.environ:
            asked = node.slice
        elif isinstance(node, ast.Call) and node.args:
            function = node.func
            by_method = isinstance(function, ast.Attribute) and _resolve(function.value, module) is os.environ
            if by_method or _resolve(function, module) is os.getenv:
                asked = node.args[0]
        if isinstance(asked, ast.Constant) and isinstance(asked.value, str):
            yield asked.value, line


def _run_at_import(statements: list[ast.stmt]) -> Iterator[ast.AST]:
    """The expressions that run when the file is imported: nothing in functions, and of an ``if`` only the condition."""
    for statement in statements:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            given = [*statement.args.defaults, *filter(None, statement.args.kw_defaults)]
            yield from _within(*statement.decorator_list, *given)
        elif isinstance(statement, ast.ClassDef):
            yield from _within(*statement.decorator_list, *statement.bases)
            yield from _run_at_import(statement.body)
        elif isinstance(statement, ast.If):
            yield from _within(statement.test)
        elif isinstance(statement, (ast.Try, ast.With)):
            yield from _run_at_import(statement.body)
        else:
            yield from _within(statement)


def _within(*nodes: ast.AST) -> Iterator[ast.AST]:
    for node in nodes:
        if not isinstance(node, ast.Lambda):
            yield node
            yield from _within(*ast.iter_child_nodes(node))


def _parsed(text: str) -> list[ast.stmt]:
    try:
        return ast.parse(text).body
    except (SyntaxError, ValueError):
        return []


def _resolve(function: ast.expr, module: ModuleType) -> Any:
    """The object that ``np.random.rand`` is, seen from `module`; None where that would need more than looking."""
    if isinstance(function, ast.Name):
        return vars(module).get(function.id)
    if isinstance(function, ast.Attribute):
        holder = _resolve(function.value, module)
        return vars(holder).get(function.attr) if isinstance(holder, ModuleType) else None
    return None
