"""Whose code a file is."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from pathlib import Path

import hydra
import pytest

import repro_hydra
from repro_hydra.sites import is_users, shorten, users_modules


def test_the_users_files_are_what_nobody_installed(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    assert is_users(str(script))
    assert not is_users(json.__file__)
    assert hydra.__file__ is not None
    assert not is_users(hydra.__file__)
    assert not is_users(repro_hydra.__file__)


def test_a_way_out_of_an_installed_folder_is_seen(tmp_path: Path) -> None:
    """The path begins as an installed file's does, and ends with the user."""
    lib = sysconfig.get_path("stdlib")
    around = os.path.join(lib, os.path.relpath(tmp_path / "train.py", lib))  # noqa: PTH118 (as it is written)
    assert f"{os.sep}..{os.sep}" in around
    assert is_users(around)


def test_a_link_to_an_installed_file_is_not_the_users(tmp_path: Path) -> None:
    link = tmp_path / "mine.py"
    link.symlink_to(json.__file__)
    assert not is_users(str(link))


@pytest.mark.parametrize(("name", "users"), [("<stdin>", True), ("<frozen os>", False), ("<string>", False)])
def test_code_without_a_file(name: str, users: bool) -> None:
    assert is_users(name) is users


def test_modules_of_the_user_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_module_of_mine.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import a_module_of_mine

    try:
        found = dict(users_modules())
        assert found[str(tmp_path / "a_module_of_mine.py")] is a_module_of_mine
        assert json.__file__ not in found
    finally:
        del sys.modules["a_module_of_mine"]
    assert shorten(str(tmp_path / "a_module_of_mine.py"), str(tmp_path)) == "a_module_of_mine.py"
