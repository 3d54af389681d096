"""Git LFS as it really is: what was edited is kept by its pointer, and the content is there wherever the code is."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from code_repository import Repository
from test_code_freeze import frozen_copy

from repro_hydra.code import snapshot_code
from repro_hydra.reproduce.checkout import check_out_one
from repro_hydra.reproduce.code_source import find_one, repositories

pytestmark = pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is not on the PATH")


@pytest.fixture
def lfs(repository: Repository) -> Repository:
    """A committed file of it, one that was edited since and one that is new."""
    repository.git("lfs", "install", "--local")
    repository.git("lfs", "track", "*.bin")
    repository.write("kept.bin", b"kept" * 100)
    repository.write("edited.bin", b"before")
    repository.commit()
    repository.write("edited.bin", b"after" * 100)
    repository.write("new.bin", b"new" * 100)
    return repository


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.glob("*.bin"))}


def test_the_code_has_the_contents_wherever_it_is_put(lfs: Repository, tmp_path: Path) -> None:
    """In the snapshot pointers; in a sweep's copy and a reproduction's tree the contents, though reverted since."""
    here = contents(lfs.top)
    state = lfs.inspect()
    assert [(f.id, f.severity) for f in state.findings] == [
        ("lfs-content-here-only", "harmless"),
        ("dirty", "harmless"),
    ]
    assert "edited.bin, new.bin: " in state.findings[0].message  # and not the one that is committed
    record = snapshot_code(state)
    assert b"oid sha256:" in lfs.git_bytes("show", f"{record.snapshot}:new.bin")
    assert contents(Path(frozen_copy(lfs, tmp_path / "frozen").tree)) == here

    lfs.git("checkout", "-q", "--", ".")
    (lfs.top / "new.bin").unlink()
    near = repositories([lfs.top], os.environ)
    source = find_one(record, {}, near, os.environ)
    check_out_one(record, {}, source, tmp_path / "again", os.environ)
    assert contents(tmp_path / "again") == here


def test_a_machine_without_the_program(lfs: Repository, tmp_path: Path) -> None:
    """The repository wants it, so git cannot tell what the edited file would be: that blocks, in git's own words."""
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    for name in ("git", "sh"):
        (bin_dir / name).symlink_to(shutil.which(name) or "")
    lfs.git("config", "core.hooksPath", "/dev/null")
    exec_path = subprocess.check_output(["git", "--exec-path"], text=True).strip()
    environ = {**os.environ, "PATH": str(bin_dir), "GIT_EXEC_PATH": exec_path}
    (finding,) = lfs.inspect(environ=environ).findings
    assert finding.severity == "blocks"
    assert "lfs" in finding.message
