"""The tables of what is tried, in docs/design/reproduce.md and explain.md, and the tests themselves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
NAMED = re.compile(r"`(test_\w+)`")
DEFINED = re.compile(r"^def (test_\w+)\(", re.MULTILINE)


def named_in(page: str) -> tuple[list[str], dict[Path, set[str]]]:
    """What the tables of a page of docs/design name, and all tests that there are, by file."""
    table = NAMED.findall((TESTS.parent / "docs/design" / page).read_text(encoding="utf-8"))
    return table, {path: set(DEFINED.findall(path.read_text())) for path in TESTS.glob("*/test_*.py")}


@pytest.mark.parametrize("page", ["reproduce.md", "explain.md"])
def test_the_table_names_the_tests_that_there_are(page: str) -> None:
    table, defined = named_in(page)
    assert table
    assert set(table) <= set().union(*defined.values())
    assert len(table) == len(set(table))


def test_none_of_the_situations_and_spoilers_is_left_out() -> None:
    table, defined = named_in("reproduce.md")
    for name in ("bitwise", "rebuild", "spoilers"):
        assert defined[TESTS / f"reproduce/test_reproduce_{name}.py"] <= set(table)
