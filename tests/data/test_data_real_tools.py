"""Datasets made by git-annex, Git LFS, DVC and Hugging Face's `datasets` themselves, each where it is installed.

`test_data_takeover.py` holds what they wrote when somebody looked; this is what the installed ones write now.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from repro_hydra.data import StatCache, capture_data, changed_meanwhile
from repro_hydra.record.data import DataRecord, DatasetRecord

LIMIT_S = 120
DATASETS_PYTHON = "REPRO_HYDRA_TESTS_DATASETS_PYTHON"
"""An interpreter that has `datasets`, which brings too much for the tests' own environment."""


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not on the PATH")


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody with a name and a home, since these programs write there."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(home / "gitconfig"))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    for key, value in (("user.name", "A"), ("user.email", "a@example.org"), ("init.defaultBranch", "main")):
        subprocess.run(["git", "config", "--global", key, value], check=True, timeout=LIMIT_S)


Run = Callable[..., str]


def in_folder(folder: Path) -> Run:
    folder.mkdir(parents=True, exist_ok=True)

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    return run


class Look:
    """Captures datasets as a run that starts in `base` does."""

    def __init__(self, base: Path, cache: StatCache) -> None:
        self._options = {"base": base, "cache": cache}
        self._project = base

    def record(self, path: str) -> tuple[DataRecord, list[str]]:
        record, findings = capture_data({"d": path}, project=self._project, **self._options)
        return record, [f"{finding.id}: {finding.message}" for finding in findings]

    def good(self, path: str) -> DatasetRecord:
        record, findings = self.record(path)
        assert findings == []
        assert changed_meanwhile(record, **self._options) == []
        return record.datasets[0]

    def refused(self, path: str, *words: str) -> None:
        _, (finding,) = self.record(path)
        assert finding.startswith("data-changed:d: ")
        for word in words:
            assert word in finding


# ---------------------------------------------------------------------- git-annex


@pytest.fixture
def annexed(project: Path) -> Run:
    run = in_folder(project)
    run("git", "init", "-q")
    run("git", "annex", "init", "-q", "here")
    (project / "set/sub").mkdir(parents=True)
    for name, content in (("a.bin", b"x" * 5000), ("sub/b.txt", b"text\n"), ("empty.txt", b"")):
        (project / "set" / name).write_bytes(content)
    run("git", "annex", "add", "-q", "set")
    run("git", "commit", "-qm", "data")
    return run


@needs("git-annex")
def test_a_set_of_git_annex(project: Path, annexed: Run, cache: StatCache) -> None:
    """By its keys, whole or a part of it, locked or not; the same in a clone that fetched it, refused in others."""
    look = Look(project, cache)
    folder = look.good("set")
    assert (folder.system, folder.files, folder.size_bytes) == ("git-annex", 3, 5005)
    whole = look.good(".")
    assert (whole.files, whole.ignore) == (3, [".git"])
    assert look.good("set/a.bin").version.startswith("SHA256E-s5000--")

    clone = project.parent / "clone"
    annexed("git", "annex", "unlock", "-q", "set/sub/b.txt")
    annexed("git", "commit", "-qm", "one is unlocked")
    annexed("git", "clone", "-q", ".", str(clone))
    there, looks = in_folder(clone), Look(clone, cache)
    there("git", "annex", "init", "-q", "there")
    looks.refused("set/a.bin", "git annex get")
    looks.refused("set/sub", "b.txt: a pointer of git-annex, its content is not here. Run: git annex get")
    looks.refused(".", "git annex get")
    there("git", "annex", "get", "-q", ".")
    assert looks.good("set").digest == look.good("set").digest != folder.digest  # one is no link any more
    assert looks.good(".").digest == look.good(".").digest
    there("git", "annex", "sync", "-q", "--no-push", "--no-pull")  # git's own files change, the data does not
    there("git", "gc", "-q")
    assert looks.good(".").digest == look.good(".").digest

    content = (clone / "set/a.bin").resolve()
    content.chmod(0o644)
    content.write_bytes(b"y" * 4999)
    looks.refused("set", "a.bin: expected 5000 bytes")


@needs("git-annex")
def test_each_kind_of_key(project: Path, annexed: Run, cache: StatCache) -> None:
    """A key of the content's hash is the version, checked by it on request; one of another kind says nothing."""
    hashes = ["MD5", "SHA1E", "SHA512E", "SHA3_256", "BLAKE2B256E", "BLAKE2S256"]
    for backend in [*hashes, "WORM"]:
        (project / backend).write_text(f"content {backend}")
        annexed("git", "annex", "add", "-q", f"--backend={backend}", backend)
    declared = {"datasets": {name: name for name in [*hashes, "WORM"]}, "base": project, "project": project}
    record, findings = capture_data(**declared, cache=cache, paranoid=True)
    assert {dataset.name for dataset in record.datasets if dataset.system == "git-annex"} == {*hashes}
    assert findings == []
    for name in declared["datasets"]:
        stored = (project / name).resolve()
        stored.chmod(0o644)
        stored.write_text(f"CONTENT {name}")
    _, findings = capture_data(**declared, cache=cache, paranoid=True)
    assert {finding.id for finding in findings} == {f"data-changed:{name}" for name in hashes}


# ---------------------------------------------------------------------- Git LFS


@needs("git-lfs")
def test_files_of_git_lfs_are_data_where_their_content_is(project: Path, cache: StatCache) -> None:
    """A clone that skipped them holds pointers: refused, until they are fetched."""
    run, look = in_folder(project), Look(project, cache)
    run("git", "lfs", "install")
    run("git", "init", "-q")
    run("git", "lfs", "track", "data/**")
    (project / "data").mkdir()
    (project / "data/a.bin").write_bytes(b"x" * 5000)
    (project / "data/b.txt").write_text("text")
    run("git", "add", "-A")
    run("git", "commit", "-qm", "data")
    clone = project.parent / "clone"
    run("env", "GIT_LFS_SKIP_SMUDGE=1", "git", "clone", "-q", ".", str(clone))
    there = Look(clone, cache)
    there.refused(
        "data", "2 of its files", "a.bin: a pointer of Git LFS, its content is not here. Run: git lfs pull"
    )
    there.refused("data/b.txt", "git lfs pull")
    in_folder(clone)("git", "lfs", "pull")
    assert there.good("data").digest == look.good("data").digest
    assert there.good(".").digest == look.good(".").digest


# ---------------------------------------------------------------------- DVC


@needs("dvc")
def test_what_dvc_tracks(project: Path, cache: StatCache) -> None:
    """However it keeps its cache, and by whichever file it tracks; its own `status` and ours agree."""
    run, look = in_folder(project), Look(project, cache)
    run("git", "init", "-q")
    run("dvc", "init", "-q")
    (project / "data/img/sub").mkdir(parents=True)
    (project / "data/img/sub/é b").write_bytes(b"x\r\ny\r\n")
    (project / "data/img/zero").touch()
    (project / "data/linked").mkdir()
    (project / "data/linked/x").write_text("linked\n")
    (project / "data/one.csv").write_text("1\n")
    (project / ".dvcignore").write_text("*.tmp\n")
    (project / "data/img/left.tmp").touch()
    run("dvc", "add", "-q", "data/img", "data/one.csv")
    run("dvc", "config", "cache.type", "symlink")
    run("dvc", "add", "-q", "data/linked")
    for path, files in (("data/img", 2), ("data/one.csv", 1), ("data/linked", 1)):
        found = look.good(path)
        assert (found.system, found.files) == ("dvc", files)
        assert found.version in (project / f"{path}.dvc").read_text()
    (project / "data/img/zero").write_text("more")
    look.refused("data/img", "dvc checkout", "img.dvc")

    (project / "inner").mkdir()
    (project / "dvc.yaml").write_text(
        "stages:\n"
        "  one:\n    cmd: mkdir -p out && echo 5 > out/z\n    outs: [out]\n"
        "  below:\n    wdir: inner\n    cmd: echo 6 > w\n    outs: [w]\n"
        "  each:\n    foreach: [p, q]\n    do:\n      wdir: inner\n"
        "      cmd: echo 7 > e${item}\n      outs: ['e${item}']\n"
    )
    run("dvc", "repro", "-q")
    for path in ("out", "inner/w", "inner/eq"):
        assert look.good(path).system == "dvc"
    (project / "w").write_text("not the one that the stage in `inner` makes\n")
    assert look.good("w").system is None


# ---------------------------------------------------------------------- Hugging Face


SAVING = """\
import datasets
whole = datasets.Dataset.from_dict({"x": list(range(100))})
whole.save_to_disk("one", num_shards=2)
whole.train_test_split(0.2, seed=1).save_to_disk("both")
print(whole._fingerprint)
"""


@pytest.fixture
def datasets_python() -> str:
    if importlib.util.find_spec("datasets") is not None:
        return sys.executable
    if DATASETS_PYTHON not in os.environ:
        pytest.skip(
            f"`datasets` is not installed here, and {DATASETS_PYTHON} names no interpreter that has it"
        )
    return os.environ[DATASETS_PYTHON]


def test_what_datasets_saves(project: Path, cache: StatCache, datasets_python: str) -> None:
    look = Look(project, cache)
    fingerprint = in_folder(project)(datasets_python, "-c", SAVING).split()[-1]
    assert look.good("one").system == look.good("both").system == "huggingface-datasets"
    assert look.good("both").version.startswith("test:")
    again = project / "again"
    in_folder(again)(datasets_python, "-c", SAVING)
    assert Look(again, cache).good("one").version == look.good("one").version == fingerprint
    next((project / "one").glob("data-*.arrow")).unlink()
    look.refused("one", "is missing")
