"""Installed code that somebody edited: told by its installer's list; and none that was installed by whatever way."""

from __future__ import annotations

import base64
import hashlib
import os
import sys
from pathlib import Path

import pytest

from repro_hydra.environment import installed_code
from repro_hydra.environment.installed_code import altered_code, loaded_from, site_folders

FILES = {"a/__init__.py": "A = 1\n", "a/with, comma.py": "B = 2\n", "c.py": "C = 3\n"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two packages as pip leaves them, a while ago."""
    monkeypatch.setattr(installed_code, "_SETTLING_S", -0.01)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))  # an environment
    lines = []
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        quoted = f'"{name}"' if "," in name else name
        lines.append(f"{quoted},sha256={digest},{len(text)}")
    (tmp_path / "some_thing-1.0.dist-info").mkdir()
    (tmp_path / "some_thing-1.0.dist-info/RECORD").write_text("\n".join([*lines, "a-1.0.dist-info/RECORD,,"]))
    (tmp_path / "empty-1.0.dist-info").mkdir()
    installed_s = (tmp_path / "some_thing-1.0.dist-info/RECORD").stat().st_ctime
    clock = tmp_path / "clock"
    clock.touch()
    while clock.stat().st_ctime <= installed_s + 0.02:  # what is written from now on is seen to be later
        clock.write_text("")
    return tmp_path


def ids(folder: Path, *names: str) -> list[str]:
    return [finding.id for finding in altered_code({str(folder): list(names or FILES)})]


def test_what_was_installed_is_as_it_was(folder: Path) -> None:
    """Also where its times tell nothing: they are then compared by content."""
    assert ids(folder) == []
    for name in FILES:
        os.utime(folder / name)
    assert ids(folder) == []
    assert ids(folder, "gone.py") == []


@pytest.mark.parametrize("name", FILES)
def test_an_edited_file_is_told(folder: Path, name: str) -> None:
    (folder / name).write_text(FILES[name].replace("=", "= 1 +"))
    (finding,) = altered_code({str(folder): list(FILES)})
    assert finding.id == f"installed-code-changed:{name}"
    assert "pip install --force-reinstall --no-deps some_thing==1.0" in finding.message


def test_a_file_that_no_installer_knows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not where packages have no lists: eggs, conda, a system's own Python."""
    (folder / "loose.py").write_text("D = 4\n")
    (folder / "_virtualenv.py").write_text("")
    assert ids(folder, "loose.py", "_virtualenv.py") == ["installed-code-changed:loose.py"]
    (folder / "old.egg-info").mkdir()
    assert ids(folder, "loose.py") == []
    (folder / "old.egg-info").rmdir()
    (folder / "conda-meta").mkdir()
    assert ids(folder, "loose.py") == []
    (folder / "conda-meta").rmdir()
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert ids(folder, "loose.py") == []


def test_this_environment_is_as_it_was_installed() -> None:
    """The modules of a real environment, looked at by content as well."""
    loaded = loaded_from(site_folders())
    assert any("pytest" in name for names in loaded.values() for name in names)
    assert altered_code(loaded) == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(installed_code, "_as_old_as_a_list", lambda *_: False)
        assert altered_code(loaded) == []
