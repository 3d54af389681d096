"""`session.imported`: what leads into a work tree that a scratch tree stands for leads there no more."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from repro_hydra.session.imported import no_longer_imported


def test_neither_the_search_path_nor_an_editable_install_leads_into_the_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment inside of the tree stays, and so do a scratch folder there and what lies beside it."""
    tree, beside = tmp_path / "tree", tmp_path / "beside"
    environment = tree / ".venv/lib"
    for folder in (tree / "src", beside, environment):
        folder.mkdir(parents=True)
    (tree / "src/only_in_the_tree.py").write_text("")
    (tmp_path / "link").symlink_to(tree / "src")
    finder = ModuleType("__editable___example_finder")
    mapping = {"ours": str(tree / "src/ours"), "theirs": str(beside / "theirs")}
    finder.MAPPING = mapping  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, finder.__name__, finder)
    monkeypatch.setattr(sys, "prefix", str(tree / ".venv"))
    kept = ["", str(beside), str(environment), str(tree / "scratch/0"), *sys.path]
    monkeypatch.setattr(sys, "path", [str(tree / "src"), str(tmp_path / "link"), *kept])
    importlib.invalidate_caches()
    assert importlib.util.find_spec("only_in_the_tree") is not None
    no_longer_imported([str(tree)], but=str(tree / "scratch"))
    assert sys.path == kept
    assert list(mapping) == ["theirs"]
    assert importlib.util.find_spec("only_in_the_tree") is None
