"""Whatever lies in a directory, there is a digest, a named exception or a clear error: never a hang."""

# ruff: noqa: PTH123 (names are bytes here)
from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from blake3 import blake3

from repro_hydra.data import DataError, DataMisuse, StatCache, scan
from repro_hydra.data.digest import FileProblem, digest_file
from repro_hydra.data.walk import Row, row_of

Unprivileged = tuple[Path, Callable[[], AbstractContextManager[None]]]
SPARSE_BYTES = 20 << 20  # more than what is reported as progress at once


@pytest.fixture(autouse=True)
def _no_hang() -> Iterator[None]:
    """A test that waits for a FIFO is ended, and fails."""
    signal.alarm(20)
    yield
    signal.alarm(0)


def sparse(path: Path, size: int = SPARSE_BYTES) -> None:
    with path.open("wb") as stream:
        stream.truncate(size)


def listed(path: Path) -> Row:
    return row_of(b"f", path.lstat())


def test_fifos_and_sockets_are_named_and_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{os.open(tmp_path, os.O_RDONLY)}/sock")
        found = scan(tmp_path)
    reasons = dict(found.snapshot.exceptions)
    assert reasons[b"pipe"].startswith("a FIFO")
    assert reasons[b"sock"].startswith("a socket")
    with_pipe = found.digest
    (tmp_path / "pipe").unlink()
    assert scan(tmp_path).digest != with_pipe


def test_a_fifo_as_the_dataset_is_misuse(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataMisuse, match="found a FIFO"):
        scan(tmp_path / "pipe")


def test_a_fifo_in_the_place_of_a_file_that_was_listed_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    row = listed(tmp_path / "f")
    (tmp_path / "f").unlink()
    os.mkfifo(tmp_path / "f")
    with pytest.raises(FileProblem, match="no regular file any more"):
        digest_file(os.fsencode(tmp_path / "f"), row)


@pytest.mark.parametrize("size", [10, 3 << 20])
def test_a_file_that_grew_since_it_was_listed_is_an_error(tmp_path: Path, size: int) -> None:
    file = tmp_path / "f"
    sparse(file, size)
    row = listed(file)
    with file.open("ab") as stream:
        stream.write(b"more")
    with pytest.raises(FileProblem, match=f"from {size} to {size + 4} bytes"):
        digest_file(os.fsencode(file), row)


@pytest.mark.parametrize("size", [10, 3 << 20])
def test_a_file_that_was_replaced_since_it_was_listed_is_an_error(tmp_path: Path, size: int) -> None:
    file = tmp_path / "f"
    sparse(file, size)
    row = listed(file)
    sparse(tmp_path / "other", size)
    (tmp_path / "other").replace(file)
    with pytest.raises(FileProblem, match="replaced by another file"):
        digest_file(os.fsencode(file), row)


@pytest.mark.parametrize("change", ["grow", "shrink", "rewrite"])
def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path: Path, change: str) -> None:
    """Shrinking would have killed a reader that maps the file."""
    file = tmp_path / "f"
    sparse(file)

    def meddle(done: int, total: int | None) -> None:
        with file.open("r+b") as stream:
            if change == "grow":
                stream.seek(0, os.SEEK_END)
            if change == "shrink":
                stream.truncate(100)
            else:
                stream.write(b"x")

    with pytest.raises(DataError, match="changed while it was read") as caught:
        scan(tmp_path, progress=meddle)
    assert [problem.path for problem in caught.value.problems] == [b"f"]


def test_a_file_that_vanishes_while_the_dataset_is_read_is_an_error(tmp_path: Path) -> None:
    for name in ("a", "b"):
        sparse(tmp_path / name)
    taken: list[str] = []

    def meddle(done: int, total: int | None) -> None:
        if not taken:
            for name in ("a", "b"):
                (tmp_path / name).unlink()
                taken.append(name)

    with pytest.raises(DataError, match="vanished"):
        scan(tmp_path, progress=meddle)


def test_a_file_that_changed_is_seen_also_through_the_cache(tmp_path: Path) -> None:
    """The later look reads it by another way than the first."""
    (tmp_path / "d").mkdir()
    sparse(tmp_path / "d" / "f")
    cache = StatCache(tmp_path / "cache")
    scan(tmp_path / "d", cache=cache)

    def meddle(done: int, total: int | None) -> None:
        (tmp_path / "d" / "f").write_bytes(b"x")

    with pytest.raises(DataError, match="changed while it was read"):
        scan(tmp_path / "d", cache=cache, progress=meddle)


def test_an_error_leaves_the_earlier_look_in_the_cache(tmp_path: Path, cache: StatCache) -> None:
    (tmp_path / "d").mkdir()
    sparse(tmp_path / "d" / "f")
    scan(tmp_path / "d", cache=cache)
    (file,) = cache.directory.iterdir()
    before = file.read_bytes()
    with pytest.raises(DataError):
        scan(tmp_path / "d", cache=cache, progress=lambda *_: (tmp_path / "d" / "f").write_bytes(b"x"))  # type: ignore[func-returns-value]
    assert file.read_bytes() == before


def test_a_sparse_file_is_its_content(tmp_path: Path) -> None:
    sparse(tmp_path / "f", 3 << 20)
    assert scan(tmp_path / "f").digest == blake3(bytes(3 << 20)).hexdigest()


def test_links_are_text_also_dangling_and_circular_ones(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "loop").symlink_to("loop")
    (data / "up").symlink_to("..")
    (data / "self").symlink_to(".")
    (data / "dangling").symlink_to("nowhere")
    (data / "absolute").symlink_to("/etc/hostname")
    found = scan(data)
    assert {path for path, _ in found.snapshot.exceptions} == {b"up", b"absolute"}
    before = found.digest
    (data / "dangling").unlink()
    (data / "dangling").symlink_to("elsewhere")
    assert scan(data).digest != before


def test_a_link_as_the_dataset_is_followed(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").touch()
    (tmp_path / "link").symlink_to("d")
    assert scan(tmp_path / "link").digest == scan(tmp_path / "d").digest


def test_a_circular_link_as_the_dataset_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(DataError):
        scan(tmp_path / "loop")


def test_everything_unreadable_is_named_at_once(unprivileged: Unprivileged) -> None:
    folder, stepped_down = unprivileged
    with stepped_down():
        (folder / "ok").write_bytes(b"1")
        (folder / "file").write_bytes(b"2")
        (folder / "file").chmod(0)
        (folder / "closed").mkdir()
        (folder / "closed").chmod(0)
        with pytest.raises(DataError, match="permission denied") as caught:
            scan(folder)
    assert [problem.path for problem in caught.value.problems] == [b"closed/", b"file"]


def test_an_unreadable_file_can_be_left_out(unprivileged: Unprivileged) -> None:
    from repro_hydra.data import Options

    folder, stepped_down = unprivileged
    with stepped_down():
        (folder / "ok").write_bytes(b"1")
        (folder / "file").write_bytes(b"2")
        (folder / "file").chmod(0)
        assert scan(folder, Options(ignore=("file",))).snapshot.files == 1


def test_a_dataset_that_may_not_be_written_is_read(unprivileged: Unprivileged, cache: StatCache) -> None:
    folder, stepped_down = unprivileged
    (folder / "f").write_bytes(b"1")
    (folder / "f").chmod(0o444)
    folder.chmod(0o555)
    with stepped_down():
        assert scan(folder).snapshot.files == 1


def test_names_of_any_bytes(tmp_path: Path) -> None:
    names = [b"\xff\xfe", b"line\nbreak", b"\x1b[31mred", b" ", b"-rf", "é".encode(), b"e\xcc\x81"]
    for name in names:
        with open(os.fsencode(tmp_path) + b"/" + name, "wb") as stream:
            stream.write(name)
    assert sorted(entry.path for entry in scan(tmp_path).entries()) == sorted(names)


def test_an_error_about_such_a_name_is_printable(tmp_path: Path) -> None:
    file = os.fsencode(tmp_path) + b"/\xff\x1b[31m\n"
    sparse(Path(os.fsdecode(file)))

    with pytest.raises(DataError) as caught:
        scan(tmp_path, progress=lambda *_: os.truncate(file, 5))
    assert r"\xff\x1b[31m\n" in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_nothing_there_is_misuse(tmp_path: Path) -> None:
    with pytest.raises(DataMisuse, match="no such file"):
        scan(tmp_path / "nothing")


def test_a_deep_directory_is_walked_without_recursion(tmp_path: Path) -> None:
    place = str(tmp_path)
    for _ in range(1050):
        place += "/d"
        os.mkdir(place)  # noqa: PTH102 (a Path of a thousand parts takes seconds)
    Path(place, "f").write_bytes(b"x")
    assert scan(tmp_path).snapshot.files == 1
    subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)  # pytest's own clean-up would recurse
