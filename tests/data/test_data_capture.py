"""What a run is told of its datasets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from repro_hydra.data import (
    Registry,
    StatCache,
    capture_data,
    changed_meanwhile,
    data_add,
    data_list,
    describe_dataset,
    register_data,
    scan,
)
from repro_hydra.record.data import DataRecord
from repro_hydra.record.store import read, write_json

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data(project: Path) -> Path:
    folder = project / "data" / "digits"
    folder.mkdir(parents=True)
    (folder / "a").write_text("1")
    return folder


def test_a_dataset_is_described(data: Path, cache: StatCache) -> None:
    record = describe_dataset("digits", data, cache=cache)
    assert (record.name, record.path, record.files, record.size_bytes) == ("digits", str(data), 1, 1)
    assert record.digest == scan(data).digest
    assert record.version == record.digest[:12]
    assert not record.registered


def test_the_record_reads_back_equal(project: Path, data: Path, cache: StatCache) -> None:
    record, findings = capture_data({"digits": "data/digits"}, base=project, project=project, cache=cache)
    write_json(project / "data.json", record)
    assert read(project / "data.json", DataRecord) == record
    assert findings == []
    assert record.coverage.watched
    assert record.coverage.not_watched


def test_paths_are_relative_to_the_root(project: Path, data: Path, cache: StatCache) -> None:
    record, _ = capture_data({"digits": "digits"}, base=project, root="data", project=project, cache=cache)
    assert (record.datasets[0].path, record.datasets[0].files) == ("digits", 1)


def test_registered_content_is_said_to_be(project: Path, data: Path, cache: StatCache) -> None:
    data_add(data, project=project, cache=cache)
    record, findings = capture_data({"digits": "data/digits"}, base=project, project=project, cache=cache)
    assert record.datasets[0].registered
    assert findings == []


def test_content_that_the_registry_does_not_know_blocks(project: Path, data: Path, cache: StatCache) -> None:
    version = data_add(data, project=project, cache=cache)
    (data / "a").write_text("2")
    asked = {"digits": "data/digits"}
    _, (finding,) = capture_data(asked, base=project, project=project, cache=cache)
    assert (finding.id, finding.severity) == ("data-changed:digits", "blocks")
    assert version.version in finding.message
    assert capture_data(asked, base=project, project=project, cache=cache, verify=False)[1] == []


def test_auto_version_registers_it_instead(project: Path, data: Path, cache: StatCache) -> None:
    data_add(data, project=project, cache=cache)
    (data / "a").write_text("2")
    asked = {"digits": "data/digits"}
    record, findings = capture_data(asked, base=project, project=project, cache=cache, verify=False)
    assert findings == []
    assert not record.datasets[0].registered
    record = register_data(record, base=project, project=project, cache=cache)
    assert record.datasets[0].registered
    assert len(data_list(project=project)) == 2


def test_all_that_is_wrong_is_said_at_once(project: Path, data: Path, cache: StatCache) -> None:
    Registry(project).folder.mkdir()
    Registry(project).file.write_text("<<<<<<< HEAD\n")
    os.mkfifo(project / "pipe")
    record, findings = capture_data(
        {"gone": "nowhere", "pipe": "pipe", "digits": "data/digits"},
        base=project,
        project=project,
        cache=cache,
    )
    assert [f.id for f in findings] == ["data-registry", "data-missing:gone", "data-missing:pipe"]
    assert [d.name for d in record.datasets] == ["digits"]


@pytest.mark.parametrize("system", ["lfs", "annex"])
def test_a_missing_dataset_is_a_finding_also_where_files_may_be_placeholders(
    project: Path, cache: StatCache, system: str
) -> None:
    (project / ".git/annex").mkdir(parents=True)
    if system == "lfs":
        (project / ".git/annex").rmdir()
        (project / ".gitattributes").write_text("*.bin filter=lfs\n")
    (project / "dangling").symlink_to("nowhere")
    record, findings = capture_data(
        {"gone": "data/nope", "link": "dangling"}, base=project, project=project, cache=cache
    )
    assert [f.id for f in findings] == ["data-missing:gone", "data-missing:link"]
    assert record.datasets == []


def test_what_the_digest_does_not_cover_is_a_finding(project: Path, data: Path, cache: StatCache) -> None:
    (data / "link").symlink_to("/etc/hostname")
    record, (finding,) = capture_data({"digits": "data/digits"}, base=project, project=project, cache=cache)
    assert (finding.id, finding.severity) == ("data-not-covered:digits", "may_change_bits")
    assert record.datasets[0].exceptions[0].path == "link"


def test_a_registered_version_brings_its_own_options(project: Path, data: Path, cache: StatCache) -> None:
    data_add(data, ignore=["*.tmp"], project=project, cache=cache)
    (data / "x.tmp").touch()
    _, findings = capture_data({"digits": "data/digits"}, base=project, project=project, cache=cache)
    assert findings == []


def test_data_that_changes_while_the_job_runs_is_noticed(project: Path, data: Path, cache: StatCache) -> None:
    record, _ = capture_data({"digits": "data/digits"}, base=project, project=project, cache=cache)
    assert changed_meanwhile(record, base=project, cache=cache) == []
    (data / "a").write_text("2")
    (finding,) = changed_meanwhile(record, base=project, cache=cache)
    assert (finding.id, finding.severity) == ("data-changed-meanwhile:digits", "may_change_bits")
    (data / "a").unlink()
    data.rmdir()
    (finding,) = changed_meanwhile(record, base=project, cache=cache)
    assert "no such file" in finding.message


def test_the_import_is_light() -> None:
    program = "import sys, repro_hydra.data; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    heavy = {"torch", "scipy", "numpy", "git", "hydra", "omegaconf", "rich", "typer", "asyncio", "filelock"}
    assert not heavy & {name.partition(".")[0] for name in done.stdout.split()}


def test_a_record_of_a_newer_minor_version_is_read(project: Path) -> None:
    raw = {**msgspec.to_builtins(DataRecord()), "schema": "1.9", "new": 1}
    write_json(project / "data.json", raw)
    assert read(project / "data.json", DataRecord).schema == "1.9"
