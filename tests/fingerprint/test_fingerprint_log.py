"""`repro_hydra.fingerprint.log`: which steps are taken, and what is in the file when."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from repro_hydra.fingerprint.log import FingerprintLog, is_taken
from repro_hydra.record.store import cut_to


def test_a_long_training_is_taken_ever_more_rarely() -> None:
    """Each step at first; of a million some twenty thousand, and the first of each stretch always."""
    assert all(is_taken(step) for step in range(4096))
    assert [step for step in range(4096, 4102) if is_taken(step)] == [4096, 4098, 4100]
    assert (
        sum(is_taken(step) for step in range(1_000_000)) == 4096 + 7 * 2048 + (1_000_000 - 2**19 + 255) // 256
    )
    assert [step for step in range(20) if is_taken(step, every=7)] == [0, 7, 14]


def test_lines_are_kept_back_and_written_whole(tmp_path: Path) -> None:
    """Some at a time, each after a look whether this process may still write; the rest at the end."""
    looks: list[int] = []
    log = FingerprintLog(tmp_path / "lines", lambda: looks.append(1))
    for step in range(70):
        log.add({"step": step})
    assert len((tmp_path / "lines").read_bytes().splitlines()) == 64
    assert log.flush() == (tmp_path / "lines").stat().st_size
    log.close()
    lines = (tmp_path / "lines").read_bytes().splitlines()
    assert [msgspec.json.decode(line)["step"] for line in lines] == list(range(70))
    assert len(looks) == 2


def test_what_came_after_a_checkpoint_is_cut_away(tmp_path: Path) -> None:
    """All of it where there is no checkpoint; a file that lacks lines is named."""
    path = tmp_path / "lines"
    cut_to(path, 0)  # nothing there, nothing to do
    path.write_bytes(b"one\ntwo\n")
    cut_to(path, 4)
    assert path.read_bytes() == b"one\n"
    with pytest.raises(OSError, match="expected at least 5 bytes, found 4"):
        cut_to(path, 5)
    cut_to(path, 0)
    assert path.read_bytes() == b""


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What of a line was written is taken back, the error is raised once, and closing adds none."""
    log = FingerprintLog(tmp_path / "lines")
    log.add({"step": 0})
    log.flush()
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:5]))
    log.add({"step": 1})
    with pytest.raises(OSError, match="No space left"):
        log.flush()
    log.close()
    assert (tmp_path / "lines").read_bytes() == b'{"step":0}\n'
