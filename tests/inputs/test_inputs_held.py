"""Which files a snapshot holds, asked of real git; and a patch that is none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from repro_hydra.code.held import Snapshot, ignored_by_git
from repro_hydra.record.code import CodeRecord
from repro_hydra.reproduce.differences import _patched


@pytest.fixture
def repository(tmp_path: Path) -> CodeRecord:
    def git(*arguments: str, cwd: Path) -> str:
        identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always")
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=cwd, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    inner, top = tmp_path / "inner", tmp_path / "top"
    for folder in (inner, top):
        folder.mkdir()
        git("init", "-q", cwd=folder)
        (folder / "a\nname").write_text("a")
        (folder / "same.txt").write_text("same")
        (folder / "changed.txt").write_text("before")
        (folder / ".gitignore").write_text("*.csv\n")
        git("add", "-A", cwd=folder)
        git("commit", "-qm", "one", cwd=folder)
    git("submodule", "--quiet", "add", str(inner), "sub", cwd=top)
    git("commit", "-qm", "two", cwd=top)
    return CodeRecord(repository=str(top), commit=git("rev-parse", "HEAD", cwd=top))


def test_what_the_snapshot_holds(repository: CodeRecord) -> None:
    """By path, in submodules too; what was written to since by content; nothing of what lies outside."""
    top = Path(str(repository.repository))
    for name in ("x.csv", "new.txt", "sub/new.txt"):
        (top / name).write_text("x")
    (top / "changed.txt").write_text("after")
    (top / "same.txt").write_text("same")
    old = [str(top / name) for name in ("a\nname", "x.csv", "new.txt", "sub/same.txt", "sub/new.txt")]
    held = Snapshot(repository).holds([*old, "/etc/hosts"], [str(top / "same.txt"), str(top / "changed.txt")])
    assert held.same == {str(top / name) for name in ("a\nname", "sub/same.txt", "same.txt")}
    assert held.changed == {str(top / "changed.txt")}
    assert ignored_by_git(repository, [str(top / "x.csv"), str(top / "new.txt")]) == {str(top / "x.csv")}
    assert Snapshot(CodeRecord()).holds(old).same == frozenset()


def test_what_a_filter_takes_away_is_told(repository: CodeRecord) -> None:
    """Of files that were read, by what comes out of the snapshot; a filter that gives back what it took is none."""
    top = Path(str(repository.repository))

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        subprocess.run(["git", *identity, *arguments], cwd=top, check=True, capture_output=True)

    for name, clean, smudge in (
        ("strip", "sed s/2/1/", "cat"),
        ("turn", "rev", "rev"),
        ("lfs", "false", "false"),
    ):
        git("config", f"filter.{name}.clean", clean)
        git("config", f"filter.{name}.smudge", smudge)
        (top / f"{name}.py").write_text("X = 2\n")
    (top / "plain.py").write_text("X = 2\n")
    (top / "mixed.csv").write_bytes(b"1\r\n2\n")
    git("add", "plain.py", "lfs.py")
    (top / ".gitattributes").write_text(
        "mixed.csv text=auto\nstrip.py filter=strip\nturn.py filter=turn\nlfs.py filter=lfs\n"
    )
    git("add", "-f", "strip.py", "turn.py", "mixed.csv", ".gitattributes")
    git("commit", "-qm", "filtered")
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=top, check=True, capture_output=True, text=True
    ).stdout
    record = CodeRecord(repository=str(top), commit=head.strip())
    read = {
        str(top / name): str(top / name)
        for name in ("strip.py", "turn.py", "lfs.py", "plain.py", "mixed.csv")
    }
    assert Snapshot(record).altered(read) == [str(top / "strip.py"), str(top / "mixed.csv")]
    assert (
        Snapshot(record).altered({"/etc/hosts": "/etc/hosts"}) == Snapshot(CodeRecord()).altered(read) == []
    )


def test_a_patch_that_is_none_changes_no_file() -> None:
    assert _patched(None) == _patched(b"") == {}
