"""Distributions: name, version and origin, as the installer left them on disk."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from repro_hydra.environment import digest_distributions, list_distributions
from repro_hydra.environment.distributions import local_path
from repro_hydra.record.environment import Distribution


def install(site: Path, name: str, version: str, **files: object) -> Path:
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nText\nName: no\n"
    )
    (folder / "INSTALLER").write_text("pip\n")
    for file, content in files.items():
        path = folder / file.replace("__", ".")
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def only(site: Path) -> Distribution:
    (distribution,) = list_distributions(path=[str(site)])
    return distribution


def test_the_same_as_importlib_metadata() -> None:
    seen = {canonicalize_name(item.name): item.version for item in list_distributions()}
    expected: dict[str, str] = {}
    for item in importlib.metadata.distributions():
        expected.setdefault(canonicalize_name(item.metadata["Name"]), item.version)
    assert seen == expected


def test_from_an_index(tmp_path: Path) -> None:
    install(tmp_path, "Some_Package", "1.0")
    assert only(tmp_path) == Distribution(name="Some_Package", version="1.0", kind="index", installer="pip")


def test_without_an_installer_the_origin_is_unknown(tmp_path: Path) -> None:
    (install(tmp_path, "a", "1.0") / "INSTALLER").unlink()
    assert only(tmp_path).kind is None


def test_from_conda(tmp_path: Path) -> None:
    (install(tmp_path, "a", "1.0") / "INSTALLER").write_text("conda")
    assert only(tmp_path).kind == "conda"


def test_from_a_repository_without_its_credentials(tmp_path: Path) -> None:
    url = {"url": "https://me:hunter2@example.org/a.git", "vcs_info": {"vcs": "git", "commit_id": "ab" * 20}}
    install(tmp_path, "a", "1.0", direct_url__json=url)
    seen = only(tmp_path)
    assert (seen.kind, seen.url, seen.commit) == ("vcs", "git+https://example.org/a.git", "ab" * 20)


def test_from_an_archive_and_from_a_folder(tmp_path: Path) -> None:
    install(
        tmp_path / "1", "a", "1.0", direct_url__json={"url": "https://example.org/a.zip", "archive_info": {}}
    )
    assert only(tmp_path / "1").kind == "archive"
    install(tmp_path / "2", "a", "1.0", direct_url__json={"url": "file:///src/a", "dir_info": {}})
    seen = only(tmp_path / "2")
    assert (seen.kind, seen.editable, seen.dirty) == ("local", False, None)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    folder = tmp_path / "my source"
    folder.mkdir()
    (folder / "a.py").write_text("x = 1\n")
    git = ["git", "-C", str(folder), "-c", "user.name=u", "-c", "user.email=e"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x"], check=True)
    return folder


def test_an_editable_install_is_asked_for_its_state(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    install(site, "a", "1.0", direct_url__json={"url": source.as_uri(), "dir_info": {"editable": True}})
    head = subprocess.check_output(["git", "-C", str(source), "rev-parse", "HEAD"], text=True).strip()
    seen = only(site)
    assert (seen.kind, seen.editable, seen.commit, seen.dirty) == ("editable", True, head, False)
    (source / "outputs").mkdir()
    (source / "outputs/run.log").write_text("")
    assert only(site) == seen
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    index = (source / ".git/index").read_bytes()
    (source / "a.py").write_text("x = 2\n")
    assert only(site).dirty is True
    os.utime(source / "a.py")
    (source / "a.py").write_text("x = 1\n")
    assert only(site).dirty is False
    assert (source / ".git/index").read_bytes() == index


def test_an_editable_install_outside_of_any_repository_is_unknown_not_clean(tmp_path: Path) -> None:
    site, folder = tmp_path / "site", tmp_path / "plain"
    folder.mkdir()
    install(site, "a", "1.0", direct_url__json={"url": folder.as_uri(), "dir_info": {"editable": True}})
    assert (only(site).commit, only(site).dirty) == (None, None)
    install(site, "b", "1.0", direct_url__json={"url": "file:///nonexistent", "dir_info": {"editable": True}})
    assert [item.dirty for item in list_distributions(path=[str(site)])] == [None, None]
    (item,) = [
        item for item in list_distributions(path=[str(site)], environ={"PATH": ""}) if item.name == "a"
    ]
    assert item.dirty is None


def test_setup_py_develop(tmp_path: Path) -> None:
    folder = tmp_path / "a.egg-info"
    folder.mkdir()
    (folder / "PKG-INFO").write_text("Metadata-Version: 1.0\nName: a\nVersion: 0.1\n")
    seen = only(tmp_path)
    assert (seen.kind, seen.editable, seen.url) == ("editable", True, str(tmp_path))


def test_a_broken_direct_url_and_a_broken_folder(tmp_path: Path) -> None:
    install(tmp_path, "a", "1.0", direct_url__json="not json")
    (tmp_path / "~orch-2.0.dist-info").mkdir()
    (tmp_path / "bad-1.dist-info").mkdir()
    (tmp_path / "bad-1.dist-info/METADATA").write_bytes(b"\xff\xfe no fields")
    (tmp_path / "worse-2.dist-info").mkdir()
    (tmp_path / "worse-2.dist-info/direct_url.json").write_bytes(b"\xff")
    seen = [(item.name, item.version) for item in list_distributions(path=[str(tmp_path)])]
    assert seen == [("a", "1.0"), ("bad", "1"), ("worse", "2")]


def test_the_first_on_the_path_counts(tmp_path: Path) -> None:
    install(tmp_path / "1", "my.pkg", "1.0")
    install(tmp_path / "2", "My_Pkg", "2.0")
    (seen,) = list_distributions(path=[str(tmp_path / "1"), str(tmp_path / "2")])
    assert seen.version == "1.0"


def test_the_digest_knows_content_and_no_order() -> None:
    one, other = Distribution(name="a", version="1"), Distribution(name="B", version="2")
    assert digest_distributions([one, other]) == digest_distributions([other, one])
    assert digest_distributions([one]) != digest_distributions([one, other])
    assert digest_distributions([one]) != digest_distributions(
        [Distribution(name="a", version="1", kind="index")]
    )


def test_local_paths() -> None:
    assert local_path("file:///a%20b/c") == Path("/a b/c")
    assert local_path("/a b") == Path("/a b")
    assert local_path("https://example.org/a") is None
    assert local_path("file:///C:/a") == Path("C:/a")
    assert local_path(None) is None
