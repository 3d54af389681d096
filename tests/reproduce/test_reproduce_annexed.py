"""Contents of git-annex that are here and cannot be put into the tree: a reason of the step's own, no traceback."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from laboratory import Laboratory

from repro_hydra.record.code import CodeRecord
from repro_hydra.reproduce import annexed
from repro_hydra.reproduce.checkout import check_out_one
from repro_hydra.reproduce.code_source import CodeMissing, CodeSource, repositories


@pytest.mark.skipif(shutil.which("git-annex") is None, reason="git-annex is not on the PATH")
def test_a_full_disk_is_said_by_the_name_of_the_file(
    lab: Laboratory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lab.top / "weights.bin").write_bytes(b"w" * 100)
    for command in (
        "init -q",
        "config annex.addunlocked true",
        "annex init -q",
        "annex add -q .",
        "commit -qm data",
    ):
        lab.git(*command.split())
    head = ["git", "rev-parse", "HEAD"]
    commit = subprocess.check_output(head, cwd=lab.top, env=lab.environment, text=True, timeout=60).strip()
    (location,) = repositories([lab.top], lab.environment)
    code = CodeRecord(commit=commit, dirty=False)
    source = CodeSource(location=location, snapshot=commit)
    check_out_one(code, {}, source, tmp_path / "tree", lab.environment)
    assert (tmp_path / "tree/weights.bin").read_bytes() == b"w" * 100  # a pointer in git, filled in

    def full(_source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr(annexed, "place", full)
    with pytest.raises(
        CodeMissing, match=r"^code: weights.bin: git-annex's content .* \(No space left on device\)$"
    ):
        check_out_one(code, {}, source, tmp_path / "other", lab.environment)
