"""Each finding that the code can make has its row on the page that says what to do about it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import repro_hydra

PACKAGE = Path(repro_hydra.__file__).parent
PAGE = PACKAGE.parent / "docs" / "design" / "findings.md"
MADE_BY = ("Finding", "Advice")


def kinds(source: str) -> Iterator[str]:
    """The beginnings of the ids that are written down in `source`, up to what is filled in."""
    tree = ast.parse(source)
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MADE_BY:
            for given in [keyword.value for keyword in node.keywords if keyword.arg == "id"]:
                parts = given.values if isinstance(given, ast.JoinedStr) else [given]
                text = ""
                for part in parts:
                    inner = part.value if isinstance(part, ast.FormattedValue) else part
                    known = constants.get(inner.id) if isinstance(inner, ast.Name) else None
                    if isinstance(inner, ast.Constant):
                        known = inner.value
                    if known is None:
                        break
                    text += str(known)
                if text:
                    yield text.partition(":")[0].rstrip("-")


def test_every_finding_has_its_row() -> None:
    """Those whose id is made somewhere else than where the finding is are not seen here."""
    page = PAGE.read_text(encoding="utf-8")
    missing = {
        f"{path.relative_to(PACKAGE)}: {kind}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for kind in kinds(path.read_text(encoding="utf-8"))
        if f"`{kind}" not in page
    }
    assert missing == set()


def test_an_id_is_found_however_it_is_written() -> None:
    source = """
KIND = "a-b"
Finding(id="c-d:x")
Advice(id=f"{KIND}:{name}")
Finding(id=f"e-{name}")
Finding(id=name)
"""
    assert list(kinds(source)) == ["c-d", "a-b", "e"]
