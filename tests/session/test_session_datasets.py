"""The datasets of a sweep: hashed once when it is submitted, held against that by each job."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import msgspec
import pytest

from repro_hydra.config import DataConf, JobVerify
from repro_hydra.data import pin as pinning
from repro_hydra.record.data import DataRecord, DatasetRecord
from repro_hydra.session import datasets
from repro_hydra.session.datasets import DataPlan, JobData, Telling, look_at_data, pin_data, plan_for_job
from repro_hydra.session.declared import Declared


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "project"
    (folder / "digits/train").mkdir(parents=True)
    for number in range(5):
        (folder / f"digits/train/{number}.png").write_bytes(bytes([number]) * 100)
    return folder


def submitted(project: Path, options: DataConf) -> DataPlan:
    plan, findings = look_at_data(options, project)
    assert findings == []
    plan, findings = pin_data(plan, project)
    assert findings == []
    return pickle.loads(pickle.dumps(plan))


def conf(method: JobVerify) -> DataConf:
    return DataConf(datasets={"digits": "digits"}, job_verify=method)


@pytest.mark.parametrize("method", list(JobVerify))
def test_a_job_looks_as_it_was_asked_to(project: Path, method: JobVerify) -> None:
    """Untouched data is fine; what differs is found by the first method that can see it, and blocks."""
    plan = submitted(project, conf(method))
    job = JobData(plan, conf(method), project)
    assert (job.findings, job.record.verified) == ([], method.value)
    assert job.changed() == []
    (project / "digits/train/3.png").write_bytes(b"other".ljust(100, b"x"))
    found = JobData(plan, conf(method), project).findings
    assert [(finding.id, finding.severity) for finding in found] == [("data-changed:digits", "blocks")]
    assert [finding.id for finding in job.changed()] == ["data-changed-meanwhile:digits"]
    shutil.rmtree(project / "digits")
    assert [finding.id for finding in JobData(plan, conf(method), project).findings] == [
        "data-changed:digits"
    ]


def test_nothing_is_hashed_where_nothing_was_written(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on a node that has not the cache of the machine that submitted."""
    plan = submitted(project, conf(JobVerify.stat))
    shutil.rmtree(os.environ["XDG_CACHE_HOME"])
    monkeypatch.setattr(datasets, "describe_dataset", lambda *_, **__: pytest.fail("it was hashed"))
    job = JobData(plan, conf(JobVerify.stat), project)
    assert job.findings == []
    monkeypatch.setattr(datasets, "changed_meanwhile", lambda record, **__: record.datasets)
    assert job.changed() == []


def test_a_copy_with_other_times_is_read_and_found_equal(project: Path) -> None:
    plan = submitted(project, conf(JobVerify.stat))
    shutil.copytree(project / "digits", project / "copy")
    shutil.rmtree(project / "digits")
    (project / "copy").rename(project / "digits")
    assert JobData(plan, conf(JobVerify.stat), project).findings == []


def test_a_sample_sees_names_sizes_and_blocks(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file by its beginning, middle and end; a byte between them only `full` sees."""
    monkeypatch.setattr(pinning, "BLOCK_BYTES", 10)
    large = project / "digits/large"
    large.write_bytes(bytes(1000))
    plan = submitted(project, conf(JobVerify.sample))
    for offset, seen in ((0, True), (500, True), (999, True), (20, False)):
        content = bytearray(1000)
        content[offset] = 1
        large.write_bytes(content)
        assert bool(JobData(plan, conf(JobVerify.sample), project).findings) is seen, offset
    large.write_bytes(bytes(1000))
    assert JobData(plan, conf(JobVerify.sample), project).findings == []
    (project / "digits/empty").touch()
    assert JobData(plan, conf(JobVerify.sample), project).findings


def test_a_dataset_that_is_one_file(project: Path) -> None:
    one = DataConf(datasets={"a": "digits/train/1.png"}, job_verify=JobVerify.sample)
    plan = submitted(project, one)
    assert JobData(plan, one, project).findings == []
    (project / "digits/train/1.png").write_bytes(b"x" * 100)
    assert JobData(plan, one, project).findings


def test_datasets_of_single_jobs_are_looked_at_when_the_sweep_is_planned(project: Path) -> None:
    plan = submitted(project, DataConf())
    own = conf(JobVerify.stat)
    assert plan_for_job(plan, own, project) == []
    assert plan_for_job(plan, own, project) == []
    assert len(plan.others) == 1
    assert JobData(plan, own, project).record.verified == "stat"
    (missing,) = plan_for_job(plan, DataConf(datasets={"no": "where"}), project)
    assert missing.id == "data-missing:no"


def test_what_a_dataset_ignores_is_not_declared_by_it(tmp_path: Path) -> None:
    """Below a root or where the run was started, by its real path too; nothing in its digest, nothing declared."""
    (tmp_path / "data/digits").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "data/digits")
    own = DatasetRecord(name="own", path="own", version="v", digest="d", size_bytes=0, files=0)
    linked = msgspec.structs.replace(own, name="l", path="../link", ignore=["*.tmp", "cache/"])
    holds = Declared(DataRecord(datasets=[own, linked]), tmp_path, "data").holds
    for path in ("data/own", "own/deep/x.csv", "data/own/x.tmp", "link/a", "data/digits/sub/a.csv"):
        assert holds(str(tmp_path / path)), path
    for path in ("data/owned", "link/x.tmp", "data/digits/cache/a", "data/digits/sub/cache/deep/a", "data/a"):
        assert not holds(str(tmp_path / path)), path


def test_a_long_hash_is_told_now_and_then() -> None:
    """Not at once, not for each chunk, not when it is done."""
    said: list[str] = []
    now = [0.0]
    telling = Telling(said.append, lambda: now[0])
    for now[0], done in ((1.0, 1), (4.0, 2 << 30), (5.0, 3 << 30), (30.0, 4 << 30), (60.0, 8 << 30)):
        telling(done, 8 << 30)
    assert [line.split(";")[0] for line in said] == [
        "hashing the declared datasets, 2.0 of 8.0 GiB so far",
        "hashing the declared datasets, 4.0 of 8.0 GiB so far",
    ]
