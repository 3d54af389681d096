"""Folders below the temporary directory: those of killed processes go, and nobody else's."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from repro_hydra.prune import leftovers
from repro_hydra.prune.leftovers import SCRATCH_AGE_S, scratch_left
from repro_hydra.temporary import PREFIX, TemporaryFolder, is_held

LIMIT_S = 60
HOLDING = """
import sys, time
from repro_hydra.temporary import TemporaryFolder
for kind in sys.argv[1:]:
    folder = TemporaryFolder(kind)
    (folder.path / "sub").mkdir()
    print(folder.path, flush=True)
    if kind == "kept":
        folder.keep()
    globals()[kind] = folder
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def other(place: Path) -> Iterator[tuple[subprocess.Popen[str], list[Path]]]:
    """Another process, with a folder of each of three kinds."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, "one", "two", "kept"],
        env={"TMPDIR": str(place)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = [process.stdout.readline().strip() for _ in range(4)]
    assert lines.pop() == "ready"
    yield process, [Path(line) for line in lines]
    process.kill()
    process.communicate(timeout=LIMIT_S)


def test_what_a_killed_process_left_goes_with_the_next_of_its_kind(
    place: Path, other: tuple[subprocess.Popen[str], list[Path]]
) -> None:
    """Not while it lives, not another kind's, not what is kept for the user, and not what is this process's own."""
    process, (one, two, kept) = other
    with TemporaryFolder("one") as mine:
        assert one.is_dir()
        assert (is_held(mine), is_held(one), is_held(kept)) == (True, True, None)
        process.kill()
        process.communicate(timeout=LIMIT_S)
        assert (is_held(one), is_held(two)) == (False, False)
        with TemporaryFolder("one"):
            assert (one.exists(), two.is_dir(), kept.is_dir(), mine.is_dir()) == (False, True, True, True)
    assert sorted(place.iterdir()) == sorted([two, kept])


def test_what_was_left_half_taken_away_goes_too(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever takes it away may be killed at that: then it is still known that it is nobody's."""
    process = subprocess.run(
        [sys.executable, "-c", HOLDING.replace("time.sleep(600)", "import os; os._exit(9)"), "one"],
        env={"TMPDIR": str(place)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=LIMIT_S,
    )
    left = Path(process.stdout.splitlines()[0])
    (left / "file").touch()

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            TemporaryFolder("one")
    (half,) = place.iterdir()
    assert (half.name, is_held(half)) == (f"{left.name}.going", False)
    TemporaryFolder("one").remove()
    assert list(place.iterdir()) == []


def test_prune_takes_no_folder_of_a_living_process(
    place: Path, other: tuple[subprocess.Popen[str], list[Path]]
) -> None:
    """However old: a sweep of long jobs touches its folder once in a week."""
    process, folders = other
    later = max(folder.stat().st_mtime for folder in folders) + 2 * SCRATCH_AGE_S
    assert scratch_left(later, place) == [folders[2]]
    process.kill()
    process.communicate(timeout=LIMIT_S)
    assert scratch_left(later, place) == sorted(folders)


def test_a_folder_that_goes_while_prune_looks_is_nobodys_error(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command has scratch folders, and they come and go while another one looks for what was left."""
    going, staying = place / f"{PREFIX}code-a", place / f"{PREFIX}code-b"
    for folder in (going, staying):
        folder.mkdir()
    looked = leftovers._touched

    def too_late(path: Path) -> float:
        if path == going:
            going.rmdir()
        return looked(path)

    monkeypatch.setattr(leftovers, "_touched", too_late)
    later = staying.stat().st_mtime + 2 * SCRATCH_AGE_S
    assert scratch_left(later, place) == [staying]


def test_without_locks_nobody_takes_it_away(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether its process lives could not be told."""
    import fcntl

    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    folder = TemporaryFolder("one")
    assert list(folder.path.iterdir()) == []
    assert is_held(folder.path) is None
    with TemporaryFolder("one"):
        assert folder.path.is_dir()
    folder.remove()
    assert list(place.iterdir()) == []
