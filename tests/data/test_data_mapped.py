"""A large file is hashed by a process that maps it, and may be lost by it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from blake3 import blake3

from repro_hydra.data import DataError, aside, digest, scan
from repro_hydra.data.aside import command, digest_mapped
from repro_hydra.data.digest import FileProblem, digest_file
from repro_hydra.data.walk import row_of

WINDOW = 1 << 18
LARGE_BYTES = 128 << 20
"""A window that takes far longer to hash than to be told that the one before is done."""


@pytest.fixture(autouse=True)
def _no_hang() -> Iterator[None]:
    signal.alarm(60)
    yield
    signal.alarm(0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "f"
    with file.open("wb") as stream:
        stream.truncate(2 * LARGE_BYTES)
    return file


def shrink(file: Path) -> None:
    os.truncate(file, 100)


def tell_nobody(done: int) -> None:
    pass


@pytest.mark.parametrize("size", [1, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW + 7])
def test_digest_is_the_one_that_b3sum_prints(tmp_path: Path, size: int) -> None:
    """For each way in which windows can end at a file's end; each byte is told of."""
    content = os.urandom(size)
    (tmp_path / "f").write_bytes(content)
    told: list[int] = []
    with Path(tmp_path, "f").open("rb") as stream:
        found = digest_mapped(stream.fileno(), size, told.append, window=WINDOW)
    assert found == blake3(content).digest()
    assert told == [*range(WINDOW, size, WINDOW), size]


def test_who_maps_a_file_that_shrinks_is_killed(file: Path) -> None:
    """Why the mapping lies in a process of its own. Tried again where this one was not scheduled in time."""
    statuses = []
    while -signal.SIGBUS not in statuses and len(statuses) < 10:
        os.truncate(file, 2 * LARGE_BYTES)
        with (
            file.open("rb") as stream,
            subprocess.Popen(
                command(2 * LARGE_BYTES, LARGE_BYTES), stdin=stream, stdout=subprocess.PIPE
            ) as process,
        ):
            assert process.stdout is not None
            assert int(process.stdout.readline()) == LARGE_BYTES
            shrink(file)
            process.stdout.read()
        statuses.append(process.returncode)
    assert statuses[-1] == -signal.SIGBUS, statuses


def test_a_file_that_shrinks_is_an_error_as_when_it_is_read(file: Path) -> None:
    told: list[int] = []

    def meddle(count: int) -> None:
        told.append(count)
        shrink(file)

    with pytest.raises(FileProblem, match=f"from {2 * LARGE_BYTES} to 100 bytes"):
        digest_file(os.fsencode(file), row_of(b"f", file.stat()), meddle)
    assert told[0] == LARGE_BYTES


@pytest.mark.parametrize("change", ["grow", "rewrite"])
def test_a_file_that_changes_is_an_error_as_when_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr(digest, "MAPPED_FROM_BYTES", 1)
    file = tmp_path / "f"
    file.write_bytes(bytes(20 << 20))

    def meddle(done: int, total: int | None) -> None:
        with file.open("r+b") as stream:
            stream.seek(0, os.SEEK_END if change == "grow" else os.SEEK_SET)
            stream.write(b"x")

    with pytest.raises(DataError, match="changed while it was read"):
        scan(tmp_path, progress=meddle)


def test_a_file_is_read_where_the_process_cannot_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot start, there is none to start, it ends without a digest: the digest is the same, told of once."""
    monkeypatch.setattr(digest, "MAPPED_FROM_BYTES", 1)
    content = os.urandom((9 << 20) + 3)
    file = tmp_path / "f"
    file.write_bytes(content)
    fails_halfway = tmp_path / "fails_halfway.py"
    fails_halfway.write_text("import sys\nprint('what is this?')\nprint(5 << 20)\nsys.exit(1)\n")
    for name, of, value in (
        ("executable", sys, str(tmp_path / "no-python")),
        ("executable", sys, ""),
        ("frozen", sys, True),
        ("_PROGRAM", aside, fails_halfway),
        ("_PROGRAM", aside, tmp_path / "not-there.py"),
    ):
        told: list[int] = []
        with monkeypatch.context() as patch:
            patch.setattr(of, name, value, raising=name != "frozen")
            found = digest_file(os.fsencode(file), row_of(b"f", file.stat()), told.append)
        assert found == blake3(content).digest(), (name, value)
        assert sum(told) == len(content), (name, value)


def test_who_is_interrupted_leaves_no_process(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def interrupt(done: int) -> None:
        raise KeyboardInterrupt

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, arguments: list[str], stdin: IO[bytes], stdout: int, stderr: int) -> None:
            super().__init__(arguments, stdin=stdin, stdout=stdout, stderr=stderr)
            started.append(self)

    monkeypatch.setattr("repro_hydra.data.aside.subprocess.Popen", Noted)
    with file.open("rb") as stream, pytest.raises(KeyboardInterrupt):
        digest_mapped(stream.fileno(), 2 * LARGE_BYTES, interrupt, window=LARGE_BYTES)
    (process,) = started
    assert process.returncode == -signal.SIGKILL


def test_it_takes_part_in_nothing_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No start-up file of the site, no module of the working directory, no variable of Python's reaches it."""
    (tmp_path / "mmap.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "f").write_bytes(b"content")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Path(tmp_path, "f").open("rb") as stream:
        assert digest_mapped(stream.fileno(), 7, tell_nobody) == blake3(b"content").digest()
