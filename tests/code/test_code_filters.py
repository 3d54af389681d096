"""A filter that needs something in the user's own `.git`, as git-crypt needs its key there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from code_repository import Repository

from repro_hydra.code import snapshot_code
from repro_hydra.record.code import CodeRecord
from repro_hydra.reproduce.checkout import check_out_one
from repro_hydra.reproduce.code_source import CodeMissing, find_one, repositories

SECRET = b"secret\n"
COMMITTED = b"frperg\n"
ROT = "tr a-z n-za-m"


@pytest.fixture
def crypt(repository: Repository) -> Repository:
    """One file is turned by a filter that finds its key in this repository alone, another by one that needs none."""
    key = 'test -f "$(git rev-parse --absolute-git-dir)/key"'
    repository.write(".git/key", "k")
    for name, command in (("crypt", f"{key} && {ROT}"), ("plain", ROT)):
        for way in ("smudge", "clean"):
            repository.git("config", f"filter.{name}.{way}", command)
        repository.git("config", f"filter.{name}.required", "true")
    repository.write(".gitattributes", "token filter=crypt\nother filter=plain\n")
    repository.write("token", SECRET)
    repository.write("other", SECRET)
    return repository


def restored(repository: Repository, record: CodeRecord, tree: Path) -> list[str]:
    said: list[str] = []
    near = repositories([repository.top], os.environ)
    check_out_one(record, {}, find_one(record, {}, near, os.environ), tree, os.environ, say=said.append)
    return said


def test_the_code_is_had_without_the_filter_that_fails(crypt: Repository, tmp_path: Path) -> None:
    """Once as a snapshot and once as a commit; the other filter is kept, and what was done is said by name."""
    for number, commit in enumerate((False, True)):
        if commit:
            crypt.commit()
        record = snapshot_code(crypt.inspect())
        assert crypt.git_bytes("show", f"{record.snapshot or record.commit}:token") == COMMITTED
        tree = tmp_path / f"tree{number}"
        (line,) = restored(crypt, record, tree)
        assert line.startswith("code: the filter crypt of your repository fails")
        assert (tree / "token").read_bytes() == COMMITTED
        assert (tree / "other").read_bytes() == SECRET


def test_one_that_is_not_the_repositorys_own_still_fails(crypt: Repository, tmp_path: Path) -> None:
    """Of the user's settings for all repositories nothing is taken away."""
    record = snapshot_code(crypt.inspect())
    for setting in ("smudge", "clean", "required"):
        value = crypt.git("config", f"filter.crypt.{setting}").strip()
        crypt.git("config", "--global", f"filter.crypt.{setting}", value)
    crypt.git("config", "--remove-section", "filter.crypt")
    with pytest.raises(CodeMissing, match="smudge filter crypt failed"):
        restored(crypt, record, tmp_path / "tree")
