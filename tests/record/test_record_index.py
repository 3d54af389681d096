"""The index of `list`: what it saves, and that nobody notices it."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from pathlib import Path
from typing import Any

import pytest
from made_records import MadeSweep, make_run

import repro_hydra.record.index as index_module
from repro_hydra.record.index import RecordIndex
from repro_hydra.record.index_file import load

Reads = list[str]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """What is read, of records made before the look at them; an index is kept for few runs too."""
    monkeypatch.setattr(index_module, "SMALLEST_WORTH_KEEPING", 1)
    monkeypatch.setattr(index_module, "_RACY_NS", 0)
    seen: Reads = []
    for name in ("read_head", "read_result"):
        original = getattr(index_module, name)

        def counted(directory: str, original: Any = original) -> Any:
            seen.append(directory)
            return original(directory)

        monkeypatch.setattr(index_module, name, counted)
    return seen


def look(root: Path, index: Path) -> dict[str, Any]:
    """Directory to result, or problem, of all that is found; the index is kept."""
    with_index = RecordIndex(index)
    found = {
        str(Path(entry.dir).relative_to(root)): entry.problem or entry.result
        for entry in with_index.runs([root])
    }
    with_index.save()
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "outputs"
    for number in range(3):
        make_run(root / f"day/{number}", seed=number, result={"x": number})
    MadeSweep(root / "sweep", seeds=[1, 2]).run_all([0.1, 0.2])
    return root


def test_a_second_look_reads_nothing_and_finds_the_same(root: Path, tmp_path: Path, reads: Reads) -> None:
    first = look(root, tmp_path / "index")
    assert len(first) == 5
    assert len(reads) == 10
    reads.clear()
    assert look(root, tmp_path / "index") == first
    assert reads == []


def test_what_changed_is_seen(root: Path, tmp_path: Path, reads: Reads) -> None:
    """A file edited in place, one replaced, a run added, one removed, a result that came, a record damaged by hand."""
    index = tmp_path / "index"
    look(root, index)
    reads.clear()
    result = root / "day/0/.repro/result.json"
    with result.open("r+") as stream:  # in place: the folder's time stays
        text = stream.read().replace("0", "7")
        stream.seek(0)
        stream.write(text)
    (root / "day/1/.repro/result.json").unlink()
    shutil.rmtree(root / "day/2")
    make_run(root / "day/nested/3", result={"x": 3})
    (root / "sweep/0/.repro/run.json").write_text('{"schema": "1.0"')
    found = look(root, index)
    assert found["day/0"] == {"x": 7}
    assert found["day/1"] is None
    assert "day/2" not in found
    assert found["day/nested/3"] == {"x": 3}
    assert "expected JSON" in found["sweep/0"]
    assert str(root / "sweep/1") not in reads
    reads.clear()
    assert look(root, index) == found
    assert set(reads) == {str(root / "sweep/0")}  # what cannot be read is tried again each time


def test_a_sweep_in_a_run_s_own_directory_is_noticed(root: Path, tmp_path: Path, reads: Reads) -> None:
    """A run alone is not asked for a plan each time; one that became a sweep's directory is."""
    index = tmp_path / "index"
    look(root, index)
    make_run(root / "day/0/0", result={"x": 8})
    (root / "day/0/.repro/sweep.json").write_text("{")
    problems = [entry.problem for entry in RecordIndex(index).runs([root]) if entry.problem]
    assert len(problems) == 1
    assert "sweep.json" in problems[0]


def test_only_a_cache(root: Path, tmp_path: Path, reads: Reads) -> None:
    """Deleted, damaged, of another layout or of another root: the runs are found all the same."""
    index = tmp_path / "index"
    expected = look(root, index)
    (file,) = index.iterdir()
    whole = file.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"\x93" + whole, b"{}"):
        file.write_bytes(content)
        assert look(root, index) == expected
    shutil.rmtree(index)
    assert look(root, index) == expected
    moved = root.rename(tmp_path / "moved")
    assert look(moved, index) == expected
    index.chmod(0o500)
    assert look(moved, index) == expected
    index.chmod(0o700)
    assert look(moved, Path("/proc/nowhere")) == expected


def test_a_change_within_the_clock_s_step_is_not_missed(
    root: Path, tmp_path: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changed shortly before the last look is read again, for it may have changed once more since."""
    monkeypatch.setattr(index_module, "_RACY_NS", 3_600_000_000_000)
    look(root, tmp_path / "index")
    reads.clear()
    look(root, tmp_path / "index")
    assert len(reads) == 10


def test_the_config_is_read_when_it_is_asked_for(root: Path, tmp_path: Path, reads: Reads) -> None:
    def seeds() -> dict[str, Any]:
        index = RecordIndex(tmp_path / "index")
        found = {Path(entry.dir).name: index.config(entry) for entry in index.runs([root / "day"])}
        index.save()
        return {name: None if config is None else config["seed"] for name, config in found.items()}

    assert seeds() == {"0": 0, "1": 1, "2": 2}
    file = root / "day/1/.repro/config.json"
    document = json.loads(file.read_text())
    document["resolved"]["seed"] = 5
    file.write_text(json.dumps(document))
    (root / "day/2/.repro/config.json").write_text("[")
    assert seeds() == {"0": 0, "1": 5, "2": None}
    assert seeds() == {"0": 0, "1": 5, "2": None}


def test_overlapping_roots_give_each_run_once(root: Path, tmp_path: Path, reads: Reads) -> None:
    found = [entry.dir for entry in RecordIndex(tmp_path / "index").runs([root / "day", root])]
    assert len(found) == len(set(found)) == 5


def _look_often(root: Path, index: Path, times: int) -> None:
    index_module.SMALLEST_WORTH_KEEPING = 1
    for _ in range(times):
        look(root, index)


def test_two_writers_leave_a_whole_index(root: Path, tmp_path: Path) -> None:
    """Both look and keep at once, many times; records change meanwhile; what is left is whole."""
    index = tmp_path / "index"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_look_often, args=(root, index, 60)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for number in range(20):
        make_run(root / f"more/{number}", result={"x": number})
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    assert [path.suffix for path in index.iterdir()] == [".msgpack"]
    assert load(next(index.iterdir()), str(root.resolve())) is not None
    assert len(look(root, index)) == 25
