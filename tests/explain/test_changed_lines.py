"""The lines of a diff, from what git really prints."""

from __future__ import annotations

import subprocess
from pathlib import Path

from repro_hydra.explain.changed_lines import changes_in

BEFORE = "".join(f"line {number}\n" for number in range(1, 31))


def diff_of(folder: Path, before: dict[str, bytes], after: dict[str, bytes]) -> str:
    for name, files in (("a", before), ("b", after)):
        for file, content in files.items():
            path = folder / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    done = subprocess.run(
        ["git", "diff", "--no-color", "--no-index", "--no-prefix", "--src-prefix=a/", "--dst-prefix=b/", "a", "b"],
        cwd=folder, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    return done.stdout.replace("a/a/", "a/").replace("b/b/", "b/")


def test_each_group_has_its_own_line(tmp_path: Path) -> None:
    """Two groups in one hunk, lines only added, only taken out, and lines that look like a diff's own."""
    after = (
        BEFORE.replace("line 3\n", "other 3\n")
        .replace("line 5\n", "")
        .replace("line 20\n", "line 20\n++ b/y\n")
    )
    diff = diff_of(
        tmp_path,
        {"train.py": BEFORE.encode() + b"-- a/x\n# old\nlast", "data.bin": b"\0a", "README.md": b"x\n"},
        {"train.py": after.encode() + b"# new\nlast\n", "data.bin": b"\0b", "README.md": b"y\n"},
    )
    found = {(change.file, change.line): change for change in changes_in(diff)}
    assert list(found) == [
        ("README.md", 1), ("data.bin", None),
        ("train.py", 3), ("train.py", 5), ("train.py", 20), ("train.py", 32),
    ]  # fmt: skip
    assert str(found["train.py", 3]) == "train.py:3: `other 3`, before `line 3`"
    assert str(found["train.py", 5]) == "train.py:5: `line 5` is gone"
    assert str(found["train.py", 20]) == "train.py:20: `++ b/y` is new"
    assert found["train.py", 32].removed == ["-- a/x", "# old", "last"]
    assert str(found["data.bin", None]) == "data.bin: binary, and differs"


def test_what_cannot_be_run_is_told_apart(tmp_path: Path) -> None:
    diff = diff_of(
        tmp_path,
        {"a.py": b"x = 1\n# one\n", "b.py": b"x = 1\n", "c.md": b"x = 1\n"},
        {"a.py": b"x = 1\n# two\n\n", "b.py": b"# why\n\nx = 2\n", "c.md": b"x = 2\n"},
    )
    assert {change.file: change.says_nothing for change in changes_in(diff)} == {
        "a.py": True, "b.py": False, "c.md": True,
    }  # fmt: skip

    (change,) = [change for change in changes_in(diff) if change.file == "b.py"]
    assert (change.start, change.line) == (1, 3)


def test_a_diff_that_was_cut_off_ends(tmp_path: Path) -> None:
    diff = diff_of(tmp_path, {"a.py": b"x = 1\ny = 2\n"}, {"a.py": b"x = 3\ny = 4\n"})
    assert [change.line for change in changes_in(diff[: diff.index("+x = 3")])] == [1]
