from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import msgspec
import pytest
from made_records import make_run

from repro_hydra.record.paths import RunPaths, SweepPaths
from repro_hydra.record.schema import RunRecord
from repro_hydra.record.store import (
    RecordError,
    current_umask,
    encode,
    read,
    read_raw,
    update,
    write_bytes,
    write_json,
)


def test_a_record_reads_back_equal(tmp_path: Path) -> None:
    path = RunPaths(make_run(tmp_path / "a", error="x", tags=["é", "b"])).run
    record = read(path, RunRecord)
    write_json(path, record, durable=True)
    assert read(path, RunRecord) == record


def test_fields_of_a_newer_version_survive_an_update(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text('{"schema": "1.7", "status": "running", "novelty": {"a": [1, null]}}')
    update(path, {"status": "completed"})
    assert json.loads(path.read_text()) == {
        "schema": "1.7",
        "status": "completed",
        "novelty": {"a": [1, None]},
    }


@pytest.mark.parametrize(
    "value", [0.1, 1e-320, 5e-324, 1.7976931348623157e308, -0.0, 1 / 3, 2**53 + 1, 2**80]
)
def test_numbers_read_back_to_the_same_bits(tmp_path: Path, value: float) -> None:
    write_json(tmp_path / "a.json", {"schema": "1.0", "x": value})
    back = read_raw(tmp_path / "a.json")["x"]
    again = json.loads((tmp_path / "a.json").read_text())["x"]
    assert repr(back) == repr(value) or float(back).hex() == float(value).hex()
    assert float(again).hex() == float(value).hex()


def test_what_utf_8_cannot_say_stands_as_escapes(tmp_path: Path) -> None:
    """A folder whose name is no UTF-8 or a key with half a character must not cost the record."""
    path = RunPaths(make_run(tmp_path / "a")).run
    record = msgspec.structs.replace(
        read(path, RunRecord), cwd=os.fsdecode(b"/home/caf\xe9"), tags=["\ud800", "é"]
    )
    write_json(path, record)
    back = read(path, RunRecord)
    assert (back.cwd, back.tags) == ("/home/caf\\xe9", ["\\ud800", "é"])
    write_json(path, {"schema": "1.0", "\ud800": {"a": [1.5, None, "é"]}})
    assert read_raw(path)["\\ud800"] == {"a": [1.5, None, "é"]}


def test_what_is_written_is_plain_json_with_a_final_newline() -> None:
    data = encode({"a": "ü", "b": [1.5, None, True]})
    assert json.loads(data) == {"a": "ü", "b": [1.5, None, True]}
    assert data.endswith(b"}\n")


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_json(path, {"schema": "1.0", "x": "a"})
    stop = threading.Event()
    seen: list[int] = []

    def look() -> None:
        while not stop.is_set():
            seen.append(len(str(read_raw(path)["x"])))

    reader = threading.Thread(target=look)
    reader.start()
    for size in range(0, 200_000, 2_000):
        write_json(path, {"schema": "1.0", "x": "a" * size})
    stop.set()
    reader.join()
    assert seen


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(path, b"new")
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["a.json"]


def test_files_have_the_rights_that_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        assert current_umask() == 0o027
        write_bytes(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["expected JSON", "0 bytes"]),
        (b'{"schema": "1.0", "x', ["expected JSON"]),
        (b"\xff\xfe\x00", ["expected JSON"]),
        (b'"text"', ["expected a JSON object", "str"]),
        (b"{}", ["schema", "None"]),
        (b'{"schema": 1}', ["schema", "1"]),
        (b'{"schema": "one.0"}', ["schema", "one.0"]),
        (b'{"schema": "2.0"}', ["reads 1.x", "2.0", "pip install --upgrade"]),
        (b'{"schema": "1.0", "a": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", ["nested too deeply"]),
    ],
)
def test_what_is_no_record_is_refused_with_its_path(tmp_path: Path, content: bytes, words: list[str]) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(RecordError) as caught:
        read_raw(path)
    for word in [str(path), *words]:
        assert word in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="No such file"):
        read_raw(tmp_path / "none.json")
    with pytest.raises(RecordError, match="directory"):
        read_raw(tmp_path)


def test_a_field_of_the_wrong_type_is_named_with_its_path(tmp_path: Path) -> None:
    path = RunPaths(make_run(tmp_path / "a")).run
    update(path, {"findings": [{"id": 3}]})
    with pytest.raises(RecordError, match=r"findings\[0\]\.id"):
        read(path, RunRecord)


def test_records_cannot_be_changed_in_place(tmp_path: Path) -> None:
    record = read(RunPaths(make_run(tmp_path / "a")).run, RunRecord)
    with pytest.raises(AttributeError):
        record.status = "failed"  # type: ignore[misc]
    assert msgspec.structs.replace(record, status="failed").status == "failed"


def test_every_file_of_a_record_lies_in_its_folder(tmp_path: Path) -> None:
    for paths in (RunPaths(tmp_path), SweepPaths(tmp_path)):
        names = [name for name in dir(type(paths)) if isinstance(getattr(type(paths), name), property)]
        for name in set(names) - {"record", "earlier"}:
            assert getattr(paths, name).is_relative_to(tmp_path / ".repro")
        assert paths.earlier.name == ".repro-earlier"
