from __future__ import annotations

import os
from pathlib import Path

import pytest
from made_records import MadeSweep, make_run

from repro_hydra.record import plain_file
from repro_hydra.record.find import UnresolvedReference, read_head, read_result, read_sweep_id, resolve, walk
from repro_hydra.record.manifest import read_manifest
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.store import RecordError


def found(*roots: Path) -> dict[str, str]:
    return {os.path.relpath(item.dir, roots[0]): item.kind for item in walk(roots)}


def test_runs_and_sweeps_are_found_at_any_depth(tmp_path: Path) -> None:
    make_run(tmp_path / "outputs" / "2026-11-23" / "10-00-00")
    MadeSweep(tmp_path / "multirun" / "x", [0, 1]).run_all([1.0, 2.0])
    assert found(tmp_path) == {
        "outputs/2026-11-23/10-00-00": "run",
        "multirun/x": "sweep",
        "multirun/x/0": "run",
        "multirun/x/1": "run",
    }


def test_a_root_may_be_a_run_and_a_run_may_hold_runs(tmp_path: Path) -> None:
    make_run(tmp_path / "a")
    make_run(tmp_path / "a" / "inner" / "b")
    assert found(tmp_path / "a") == {".": "run", "inner/b": "run"}


@pytest.mark.parametrize(
    "name", [".git", ".venv", "node_modules", "site-packages", ".repro-earlier", "__pycache__"]
)
def test_some_folders_are_not_entered(tmp_path: Path, name: str) -> None:
    make_run(tmp_path / name / "a")
    assert found(tmp_path) == {}


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    make_run(tmp_path / "a")
    (tmp_path / "circle").symlink_to(tmp_path)
    assert found(tmp_path) == {"a": "run"}


def test_a_root_that_is_a_link_is(tmp_path: Path) -> None:
    make_run(tmp_path / "real" / "a")
    (tmp_path / "latest").symlink_to(tmp_path / "real")
    assert found(tmp_path / "latest") == {"a": "run"}


def test_overlapping_roots_tell_each_run_once(tmp_path: Path) -> None:
    make_run(tmp_path / "x" / "a")
    (tmp_path / "link").symlink_to(tmp_path / "x")
    assert len(list(walk([tmp_path, tmp_path / "x", tmp_path / "link", tmp_path / "x" / "a"]))) == 1


def test_a_record_folder_without_a_record_is_told(tmp_path: Path) -> None:
    (tmp_path / "a" / ".repro").mkdir(parents=True)
    (item,) = walk([tmp_path])
    assert item.kind == "damaged"
    assert "run.json or sweep.json" in str(item.problem)


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (item,) = walk([tmp_path / "gone"])
    assert item.kind == "damaged"
    assert "No such file" in str(item.problem)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "expected JSON"),
        (b'{"schema": "1.0", "run_id": "ab', "expected JSON"),
        (b"\x89PNG", "expected JSON"),
        (b"[]", "expected a JSON object"),
        (b"{}", "schema"),
        (b'{"schema": "2.0", "run_id": 3}', "pip install --upgrade"),
        (b'{"schema": "1.0", "run_id": 3}', "run_id"),
        (b"[" * 100_000, "run.json"),
    ],
)
def test_a_damaged_run_says_why(tmp_path: Path, content: bytes, words: str) -> None:
    make_run(tmp_path / "a")
    RunPaths(tmp_path / "a").run.write_bytes(content)
    with pytest.raises(RecordError, match=r"run\.json") as caught:
        read_head(str(tmp_path / "a"))
    assert words in str(caught.value)


@pytest.mark.parametrize("kind", ["fifo", "endless", "sparse", "directory"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    """A record may be a stranger's: a FIFO has no writer, and ``/dev/zero`` no end."""
    make_run(tmp_path / "a")
    paths = RunPaths(tmp_path / "a")
    for file in (paths.run, paths.result, paths.metrics, paths.manifest):
        file.unlink(missing_ok=True)
        if kind == "fifo":
            os.mkfifo(file)
        elif kind == "endless":
            file.symlink_to("/dev/zero")
        elif kind == "sparse":
            file.write_bytes(b"{}")
            os.truncate(file, plain_file.MOST_BYTES + 1)
        else:
            file.mkdir()
    for look in (read_head, read_result):
        with pytest.raises(RecordError, match="cannot be read"):
            look(str(tmp_path / "a"))
    with pytest.raises(RecordError, match="cannot be read"):
        read_manifest(paths)
    with pytest.raises(OSError, match=r"no regular file|more than a record may|directory"):
        plain_file.read_plain(paths.metrics)


def test_a_newer_major_version_is_refused_though_its_fields_fit(tmp_path: Path) -> None:
    make_run(tmp_path / "a", schema="2.0")
    with pytest.raises(RecordError, match=r"2\.0"):
        read_head(str(tmp_path / "a"))


def test_a_newer_minor_version_is_read(tmp_path: Path) -> None:
    make_run(tmp_path / "a", schema="1.9", name="later")
    assert read_head(str(tmp_path / "a")).name == "later"


def test_a_large_record_is_read_whole(tmp_path: Path) -> None:
    make_run(tmp_path / "a", note="x" * 200_000, name="large")
    assert read_head(str(tmp_path / "a")).name == "large"


def test_results_are_read_or_refused(tmp_path: Path) -> None:
    directory = str(make_run(tmp_path / "a", result={"x": 1.5, "schema": "tall"}))
    assert read_result(directory) == {"x": 1.5, "schema": "tall"}
    path = RunPaths(tmp_path / "a").result
    path.write_text('{"schema": "1.0", "x": 2}')
    assert read_result(directory) == {"x": 2}
    path.write_text('{"schema": "2.0", "x": 2}')
    with pytest.raises(RecordError, match=r"expected 1\.x"):
        read_result(directory)
    path.write_text("3")
    with pytest.raises(RecordError, match="expected a JSON object"):
        read_result(directory)
    path.unlink()
    assert read_result(directory) is None


def test_a_damaged_sweep_says_why(tmp_path: Path) -> None:
    sweep = MadeSweep(tmp_path / "x", [0])
    assert read_sweep_id(str(tmp_path / "x")) == sweep.sweep_id
    (tmp_path / "x" / ".repro" / "sweep.json").write_text("{")
    with pytest.raises(RecordError, match=r"sweep\.json"):
        read_sweep_id(str(tmp_path / "x"))


IDS = ["abcd" + "0" * 28, "abce" + "0" * 28]


@pytest.fixture
def two(tmp_path: Path) -> Path:
    for name, run_id in zip("ab", IDS, strict=True):
        make_run(tmp_path / name, run_id=run_id)
    return tmp_path


def test_a_run_is_named_by_directory_record_folder_id_or_prefix(two: Path) -> None:
    for reference in (str(two / "a"), str(two / "a" / ".repro"), IDS[0], "abcd", "ABCD0"):
        assert resolve(reference, [two]).dir == str(two / "a")


def test_a_relative_directory_will_do(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(two / "a")
    assert resolve(".", []).dir == str(two / "a")
    assert resolve("../b", []).dir == str(two / "b")


def test_an_ambiguous_prefix_names_all_that_it_could_mean(tmp_path: Path) -> None:
    for name, end in (("a", "0"), ("b", "1")):
        make_run(tmp_path / name, run_id="abcd" + end * 28)
    with pytest.raises(UnresolvedReference) as caught:
        resolve("abcd", [tmp_path])
    assert str(tmp_path / "a") in str(caught.value)
    assert str(tmp_path / "b") in str(caught.value)


def test_a_copied_run_is_not_ambiguous(tmp_path: Path) -> None:
    for name in "ab":
        make_run(tmp_path / name, run_id=IDS[0])
    assert resolve("abcd", [tmp_path]).kind == "run"


def test_a_sweep_has_an_id_too(tmp_path: Path) -> None:
    sweep = MadeSweep(tmp_path / "x", [0])
    assert resolve(sweep.sweep_id[:8], [tmp_path]).kind == "sweep"
    assert resolve(str(tmp_path / "x"), []).kind == "sweep"


@pytest.mark.parametrize("reference", ["abc", "xyzw", "nowhere/at/all", "f" * 33, "dead"])
def test_what_names_nothing_is_refused(two: Path, reference: str) -> None:
    with pytest.raises(UnresolvedReference):
        resolve(reference, [two])


def test_a_folder_without_a_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnresolvedReference, match="without a record"):
        resolve(str(tmp_path / "empty"), [tmp_path])


def test_a_folder_whose_name_looks_like_an_id_does_not_hide_the_run(
    two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (two / "abcd").mkdir()
    monkeypatch.chdir(two)
    assert resolve("abcd", [two]).dir == str(two / "a")
