"""The table of what is tried, in docs/design/reproduce.md, and the tests themselves."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
NAMED = re.compile(r"`(test_\w+)`")
DEFINED = re.compile(r"^def (test_\w+)\(", re.MULTILINE)


def test_the_table_names_the_tests_that_there_are() -> None:
    """All that it names exist, and none of the situations and spoilers is left out."""
    table = NAMED.findall((TESTS.parent / "docs/design/reproduce.md").read_text(encoding="utf-8"))
    defined = {path: set(DEFINED.findall(path.read_text())) for path in TESTS.glob("*/test_*.py")}
    assert set(table) <= set().union(*defined.values())
    assert len(table) == len(set(table))
    for name in ("bitwise", "rebuild", "spoilers"):
        assert defined[TESTS / f"reproduce/test_reproduce_{name}.py"] <= set(table)
