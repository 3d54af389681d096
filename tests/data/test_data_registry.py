"""The registry: text that merges, is never half-written, and is refused where it can't be understood."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
import pytest
from filelock import FileLock

from repro_hydra.data import (
    DataError,
    DataMisuse,
    Registry,
    StatCache,
    data_add,
    data_list,
    find_project,
)
from repro_hydra.data import registry as registry_module
from repro_hydra.data.registry import merge_versions
from repro_hydra.record.data import DataVersion

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data(project: Path) -> Path:
    folder = project / "digits"
    folder.mkdir()
    (folder / "a.txt").write_text("1")
    return folder


def in_python(program: str, cwd: Path, **more: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cwd / "xdg")}
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "-c", program], cwd=cwd, env=environment, text=True, stderr=subprocess.PIPE, **more
    )


def test_the_same_content_again_is_the_same_version_with_one_more_description(
    project: Path, data: Path, cache: StatCache
) -> None:
    first = data_add(data, description="as published", project=project, cache=cache)
    for description in ("checked by hand", "as published"):
        again = data_add(data, description=description, project=project, cache=cache)
    assert again.version == first.version
    assert again.created_at == first.created_at
    assert again.descriptions == ["checked by hand", "as published"] or again.descriptions == [
        "as published",
        "checked by hand",
    ]
    assert len(data_list(project=project)) == 1


def test_one_line_a_version_sorted_and_relative(project: Path, data: Path, cache: StatCache) -> None:
    data_add(data, "b", project=project, cache=cache)
    data_add(data, "a", project=project, cache=cache)
    (data / "a.txt").write_text("2")
    data_add(data, "a", project=project, cache=cache)
    lines = [json.loads(line) for line in Registry(project).file.read_text().splitlines()]
    assert [(line["name"], line["digest"]) for line in lines] == sorted(
        (line["name"], line["digest"]) for line in lines
    )
    assert {line["path"] for line in lines} == {"digits"}


def test_the_manifest_of_equal_content_is_equal(project: Path, data: Path, cache: StatCache) -> None:
    """Two people write the same bytes, so that it never conflicts."""
    version = data_add(data, project=project, cache=cache)
    first = Registry(project).manifest(version.digest).read_bytes()
    copy = project / "other"
    copy.mkdir()
    (copy / "a.txt").write_text("1")
    os.utime(copy / "a.txt", (1, 1))
    Registry(project).manifest(version.digest).unlink()
    assert data_add(copy, project=project, cache=cache).digest == version.digest
    assert Registry(project).manifest(version.digest).read_bytes() == first


def git(project: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=project, check=check, capture_output=True, text=True
    )


def test_two_branches_that_each_added_a_version_merge_by_themselves(
    project: Path, data: Path, cache: StatCache
) -> None:
    git(project, "init", "-q", "-b", "main")
    first = data_add(data, description="base", project=project, cache=cache)
    git(project, "add", ".")
    git(project, "commit", "-qm", "base")
    for branch in ("one", "two"):
        git(project, "checkout", "-q", "main")
        git(project, "checkout", "-qb", branch)
        data_add(data, description=f"seen by {branch}", project=project, cache=cache)
        (project / branch).write_text(branch)
        data_add(project / branch, "shared", branch, project=project, cache=cache)
        git(project, "add", ".")
        git(project, "commit", "-qm", branch)
    git(project, "merge", "-q", "-m", "both", "one")
    versions = data_list(project=project)
    assert {(v.name, v.descriptions[0]) for v in versions if v.name == "shared"} == {
        ("shared", "one"),
        ("shared", "two"),
    }
    (merged,) = [v for v in versions if v.digest == first.digest]
    assert set(merged.descriptions) == {"base", "seen by one", "seen by two"}


def test_conflict_markers_are_an_error_that_says_what_to_do(
    project: Path, data: Path, cache: StatCache
) -> None:
    data_add(data, project=project, cache=cache)
    file = Registry(project).file
    line = file.read_text()
    file.write_text(f"<<<<<<< HEAD\n{line}=======\n{line}>>>>>>> other\n")
    with pytest.raises(DataError, match=r"registry\.jsonl:1: a conflict marker .*delete the lines"):
        data_list(project=project)
    with pytest.raises(DataError, match="conflict marker"):
        data_add(data, project=project, cache=cache)
    file.write_text("".join(x for x in file.read_text().splitlines(True) if x.startswith("{")))
    assert len(data_list(project=project)) == 1  # the advice works


def test_windows_line_ends_and_blank_lines_are_read(project: Path, data: Path, cache: StatCache) -> None:
    data_add(data, project=project, cache=cache)
    file = Registry(project).file
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n") + b"\r\n\n")
    assert len(data_list(project=project)) == 1


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], "expected one JSON object"),
        (lambda text: text.replace(b'"1.0"', b'"2.0"'), "pip install --upgrade"),
        (lambda text: b"name,version\n", "expected one JSON object"),
        (lambda text: b"[1, 2]\n", "expected a dataset version"),
        (lambda text: b'{"a": 1}\n', "expected a dataset version"),
        (lambda text: b"\x80\x81\x00\xff", "expected one JSON object"),
        (lambda text: b"[" * 100_000, "expected one JSON object"),
        (lambda text: text.replace(b'"files":1', b'"files":"one"'), r"files"),
        (lambda text: text.replace(b'"version":"', b'"version":"0'), "version: expected the first"),
    ],
)
def test_what_is_no_registry_is_refused_and_left_alone(
    project: Path, data: Path, cache: StatCache, damage: Callable[[bytes], bytes], message: str
) -> None:
    data_add(data, project=project, cache=cache)
    file = Registry(project).file
    damaged = damage(file.read_bytes())
    file.write_bytes(damaged)
    with pytest.raises(DataError, match=message) as caught:
        data_add(data, project=project, cache=cache)
    assert f"{file}:1" in str(caught.value)
    assert file.read_bytes() == damaged


def test_a_newer_minor_version_is_read(project: Path, data: Path, cache: StatCache) -> None:
    data_add(data, project=project, cache=cache)
    file = Registry(project).file
    file.write_bytes(file.read_bytes().replace(b'"1.0"', b'"1.7"').replace(b"{", b'{"new":[1],', 1))
    assert len(data_list(project=project)) == 1


def test_merging_is_the_same_in_any_order() -> None:
    def version(description: str, moment: str) -> DataVersion:
        return DataVersion(
            name="n", version="0" * 12, digest="0" * 64, kind="file", path=description, size_bytes=1, files=1,
            descriptions=[description], created_at=moment, updated_at=moment,
        )  # fmt: skip

    one, two = version("one", "2026-01-01T00:00:00Z"), version("two", "2026-01-02T00:00:00Z")
    assert merge_versions([one, two]) == merge_versions([two, one])
    (merged,) = merge_versions([one, two])
    assert (merged.created_at, merged.path) == (one.created_at, "two")


def test_processes_that_add_at_once_lose_nothing(project: Path) -> None:
    program = """
import sys
from pathlib import Path
from repro_hydra.data import data_add
for number in range(5):
    file = Path(f"{WHO}-{number}")
    file.write_text(file.name)
    data_add(file, project=Path("."))
"""
    running = [in_python(f"WHO = {who}\n{program}", project) for who in range(3)]
    for process in running:
        assert process.communicate()[1] == ""
    assert len(data_list(project=project)) == 15


def test_a_lock_that_is_held_is_an_error_after_a_while(
    project: Path, data: Path, cache: StatCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_add(data, project=project, cache=cache)
    monkeypatch.setattr(registry_module, "_LOCK_TIMEOUT_S", 0.1)
    with FileLock(Registry(project).folder / ".lock"), pytest.raises(DataError, match="held by another"):
        data_add(data, project=project, cache=cache)


def test_a_kill_at_any_instant_leaves_a_whole_registry(project: Path, data: Path, cache: StatCache) -> None:
    data_add(data, project=project, cache=cache)
    program = """
from pathlib import Path
from repro_hydra.data import data_add
print("ready", flush=True)
for number in range(10**6):
    Path("f").write_text(str(number))
    data_add(Path("f"), description="d" * 2000, project=Path("."))
"""
    for round_ in range(6):
        process = in_python(program, project, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.01 + 0.013 * round_)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        before = len(data_list(project=project))
        assert before >= 1
    (project / "f").write_text("after")
    data_add(project / "f", project=project, cache=cache)  # the lock of the dead is free


def test_a_full_disk_leaves_the_registry_as_it_was(project: Path, data: Path, cache: StatCache) -> None:
    """Simulated by a limit on the size of any file, which makes the same write fail."""
    data_add(data, project=project, cache=cache)
    file = Registry(project).file
    before = file.read_bytes()
    program = """
import resource
from pathlib import Path
from repro_hydra.data import DataError, data_add
resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900))
Path("f").write_text("x")
try:
    data_add(Path("f"), description="d" * 800, project=Path("."))
except DataError as error:
    raise SystemExit(f"told: {error}")
"""
    process = in_python(program, project)
    assert "the registry is as it was" in process.communicate()[1]
    assert file.read_bytes() == before
    assert not list(file.parent.rglob("*.tmp"))


def test_a_project_that_may_not_be_written_is_said_and_can_be_read(
    unprivileged: tuple[Path, Callable[[], AbstractContextManager[None]]], cache: StatCache
) -> None:
    folder, stepped_down = unprivileged
    (folder / "f").write_text("x")
    data_add(folder / "f", project=folder, cache=cache)
    for place in (folder / "repro-data", folder):
        place.chmod(0o555)
    (folder / "f").write_text("y")
    with stepped_down():
        with pytest.raises(DataError, match=r"cannot be written \(Permission denied\)"):
            data_add(folder / "f", project=folder, cache=cache)
        assert len(data_list(project=folder)) == 1


def test_a_registry_that_is_a_link_stays_one(project: Path, data: Path, cache: StatCache) -> None:
    data_add(data, project=project, cache=cache)
    file = Registry(project).file
    file.rename(project / "shared.jsonl")
    file.symlink_to("../shared.jsonl")
    (data / "a.txt").write_text("2")
    data_add(data, project=project, cache=cache)
    assert file.is_symlink()
    assert len(data_list(project=project)) == 2


def test_a_dataset_that_holds_its_own_registry_is_refused(project: Path, data: Path) -> None:
    with pytest.raises(DataMisuse, match="the registry itself"):
        data_add(project, project=project)


@pytest.mark.parametrize("name", ["a@b", " ", "a\nb", "\x1b[31m", "a\udcff"])
def test_a_name_that_could_not_be_said_again_is_refused(project: Path, data: Path, name: str) -> None:
    with pytest.raises(DataMisuse, match="can't name a dataset"):
        data_add(data, name, project=project)


def test_a_path_that_is_not_text_is_refused_before_it_is_read(project: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(project) + b"/\xff"))
    path.write_text("x")
    with pytest.raises(DataMisuse, match="must be UTF-8"):
        data_add(path, "n", project=project)


def test_the_project_is_found_from_below(project: Path, data: Path, cache: StatCache) -> None:
    (project / ".git").mkdir()
    (project / "src" / "deep").mkdir(parents=True)
    assert find_project(project / "src" / "deep") == project
    data_add(data, project=project / "src", cache=cache)
    assert find_project(project / "src" / "deep") == project / "src"


def test_a_path_outside_the_project_is_kept_whole(project: Path, tmp_path: Path, cache: StatCache) -> None:
    (tmp_path / "elsewhere").write_text("x")
    assert data_add(tmp_path / "elsewhere", project=project, cache=cache).path == str(tmp_path / "elsewhere")


def test_a_line_reads_back_equal(project: Path, data: Path, cache: StatCache) -> None:
    text = 'é\n\u2028 "quoted" \x00'
    version = data_add(
        data, description=text, source="doi:10/x", ignore=["*.tmp"], project=project, cache=cache
    )
    assert data_list(project=project) == [version]
    assert msgspec.json.decode(Registry(project).file.read_bytes())["descriptions"] == [text]


def test_credentials_are_not_registered(project: Path, data: Path, cache: StatCache) -> None:
    """The registry is committed with the project, so what is secret in an address stays out of it."""
    version = data_add(
        data,
        description="from https://me:hunter2@example.org/set, a mirror",
        source="https://example.org/set?X-Amz-Signature=c0ffee&part=2",
        project=project,
        cache=cache,
    )
    written = Registry(project).file.read_text()
    assert "hunter2" not in written
    assert "c0ffee" not in written
    assert version.source is not None
    assert version.source.startswith("https://example.org/set?")
    assert version.source.endswith("&part=2")
