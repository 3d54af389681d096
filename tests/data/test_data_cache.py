"""The cache saves reading, and never shows in a digest."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from repro_hydra.data import Options, StatCache, scan
from repro_hydra.data.scan import _RACY_WINDOW_NS


def later() -> int:
    """A clock by which everything written so far was written long ago."""
    return time.time_ns() + 2 * _RACY_WINDOW_NS


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    for number in range(5):
        (folder / "sub" / f"{number}.bin").write_bytes(bytes([number]) * 100)
    return folder


def overwrite_unseen(path: Path, content: bytes) -> None:
    """Other content of the same size, in place, with the same times: what no stat cache can see."""
    status = path.stat()
    with path.open("r+b") as stream:
        stream.write(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_second_look_reads_nothing(data: Path, cache: StatCache) -> None:
    first = scan(data, cache=cache, clock=later)
    second = scan(data, cache=cache, clock=later)
    assert (first.files_read, second.files_read) == (5, 0)
    assert second.digest == first.digest
    assert list(second.entries()) == list(first.entries())


def test_only_what_changed_is_read_again(data: Path, cache: StatCache) -> None:
    scan(data, cache=cache, clock=later)
    (data / "sub" / "3.bin").write_bytes(b"new")
    again = scan(data, cache=cache, clock=later)
    assert again.files_read == 1
    assert again.digest == scan(data).digest


def test_a_change_that_only_the_change_time_tells_is_seen(data: Path, cache: StatCache) -> None:
    before = scan(data, cache=cache, clock=later)
    overwrite_unseen(data / "sub" / "0.bin", b"x" * 100)
    again = scan(data, cache=cache, clock=later)
    assert again.files_read == 1
    assert again.digest == scan(data).digest != before.digest


def test_a_file_written_just_before_the_look_is_read_again(data: Path, cache: StatCache) -> None:
    """Racy: such a file may change once more within the same tick of the clock and keep its times."""
    scan(data, cache=cache)
    again = scan(data, cache=cache, clock=later)
    assert again.files_read == 5
    assert scan(data, cache=cache, clock=later).files_read == 0


def test_without_the_racy_rule_a_change_would_be_missed(data: Path, cache: StatCache) -> None:
    """The guard above, broken: a row of equal stat and other content is believed where it is not racy."""
    scan(data, cache=cache, clock=later)
    key = Options().key(os.fsencode(data))
    snapshot = cache.load(key)
    assert snapshot is not None
    rows = [(*row[:6], bytes(32)) if row[0].endswith(b"0.bin") else row for row in snapshot.rows()]
    import msgspec

    believed = msgspec.structs.replace(
        snapshot, fingerprint=None, stored=msgspec.Raw(msgspec.msgpack.encode(rows))
    )
    cache.store(key, believed)
    assert scan(data, cache=cache, clock=later).digest != scan(data).digest
    cache.store(key, msgspec.structs.replace(believed, racy_after=0))
    assert scan(data, cache=cache, clock=later).digest == scan(data).digest


def test_paranoid_reads_everything(data: Path, cache: StatCache) -> None:
    scan(data, cache=cache, clock=later)
    assert scan(data, cache=cache, paranoid=True, clock=later).files_read == 5


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "foreign", "gone"])
def test_a_damaged_cache_is_ignored_and_made_again(data: Path, cache: StatCache, damage: str) -> None:
    digest = scan(data, cache=cache, clock=later).digest
    (file,) = cache.directory.iterdir()
    whole = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        file.write_bytes(
            {"empty": b"", "cut": whole[:middle], "flipped": flipped, "foreign": b"SQLite format 3\0"}[damage]
        )
    again = scan(data, cache=cache, clock=later)
    assert (again.files_read, again.digest) == (5, digest)
    assert scan(data, cache=cache, clock=later).files_read == 0


def test_options_have_looks_of_their_own(data: Path, cache: StatCache) -> None:
    whole = scan(data, cache=cache, clock=later)
    part = scan(data, Options(ignore=("0.bin",)), cache=cache, clock=later)
    assert part.digest != whole.digest
    assert scan(data, cache=cache, clock=later).digest == whole.digest


def test_a_cache_that_can_not_be_written_costs_only_time(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    nowhere = StatCache(tmp_path / "file" / "cache")
    assert scan(data, cache=nowhere).digest == scan(data).digest


def test_several_at_once_leave_a_whole_cache(data: Path, cache: StatCache) -> None:
    with ThreadPoolExecutor(8) as pool:
        digests = set(
            pool.map(lambda _: scan(data, cache=cache, paranoid=True, clock=later).digest, range(40))
        )
    assert digests == {scan(data).digest}
    assert len(list(cache.directory.iterdir())) == 1
    assert scan(data, cache=cache, clock=later).files_read == 0


def test_a_file_that_became_a_directory_and_back(tmp_path: Path, cache: StatCache) -> None:
    place = tmp_path / "data"
    place.write_bytes(b"x")
    as_file = scan(place, cache=cache, clock=later).digest
    place.unlink()
    place.mkdir()
    assert scan(place, cache=cache, clock=later).digest == scan(place).digest != as_file
    place.rmdir()
    place.write_bytes(b"x")
    assert scan(place, cache=cache, clock=later).digest == as_file
