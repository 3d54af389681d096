from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from repro_hydra.record.code import CodeRecord
from repro_hydra.record.environment import Distribution, EnvironmentRecord
from repro_hydra.record.find import read_head, read_result, walk
from repro_hydra.record.manifest import digest_file, read_manifest
from repro_hydra.record.paths import RunPaths, SweepPaths
from repro_hydra.record.schema import ConfigRecord, RunRecord, SweepRecord
from repro_hydra.record.store import encode, read, read_raw
from repro_hydra.sweep.aggregate import aggregate

HERE = Path(__file__).resolve().parent
VERSIONS = sorted(path for path in HERE.iterdir() if path.is_dir() and path.name[0].isdigit())
RUNS = [Path(item.dir) for item in walk(VERSIONS) if item.kind == "run"]


def name(path: Path) -> str:
    return str(path.relative_to(HERE))


def test_there_are_samples_of_each_version() -> None:
    assert [path.name for path in VERSIONS] == ["1.0"]
    assert len(RUNS) == 4
    assert not [item for item in walk(VERSIONS) if item.kind == "damaged"]


@pytest.mark.parametrize("run", RUNS, ids=name)
def test_each_file_is_read_as_what_it_is(run: Path) -> None:
    paths = RunPaths(run)
    record = read(paths.run, RunRecord)
    assert read_head(str(run)).run_id == record.run_id
    assert read(paths.config, ConfigRecord).resolved["seed"] == record.seed
    assert read(paths.code, CodeRecord).tree
    assert read(paths.environment, EnvironmentRecord).interpreter.version == record.python
    assert {row["name"] for row in read_raw(paths.determinism)["settings"]} >= {"hash_seed", "torch.threads"}
    assert (read_result(str(run)) is None) == (record.status == "failed")


@pytest.mark.parametrize("run", RUNS, ids=name)
def test_no_field_is_lost_in_a_read_and_a_write(run: Path) -> None:
    for path, kind in (
        (RunPaths(run).run, RunRecord),
        (RunPaths(run).config, ConfigRecord),
        (RunPaths(run).code, CodeRecord),
        (RunPaths(run).environment, EnvironmentRecord),
    ):
        # Later versions may add fields, which then stand at their defaults; none may go or change.
        written = json.loads(encode(read(path, kind)))
        assert _holds(written, json.loads(path.read_bytes())), path


def _holds(whole: object, part: object) -> bool:
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and _holds(whole[key], value) for key, value in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return len(whole) == len(part) and all(map(_holds, whole, part))
    return whole == part


@pytest.mark.parametrize("run", RUNS, ids=name)
def test_each_is_unchanged_since_its_manifest(run: Path) -> None:
    entries = read_manifest(RunPaths(run)).files
    assert {entry.path for entry in entries} >= {".repro/run.json", ".repro/config.json", "train.log"}
    for entry in entries:
        assert (run / entry.path).stat().st_size == entry.size_bytes
        assert digest_file(run / entry.path) == entry.blake3


def test_the_sweeps_plan_and_its_shared_packages_are_read() -> None:
    paths = SweepPaths(VERSIONS[0] / "sweep")
    record = read(paths.sweep, SweepRecord)
    assert [(job.seed, job.status) for job in record.jobs] == [
        (0, "completed"),
        (1, "completed"),
        (2, "failed"),
    ]
    shared = read_raw(paths.environment)
    assert {item.name for item in msgspec.convert(shared["distributions"], list[Distribution])} >= {"numpy"}
    for num in range(3):
        job = RunPaths(paths.sweep_dir / str(num))
        environment = read(job.environment, EnvironmentRecord)
        assert environment.distributions_digest == shared["distributions_digest"]
        assert (job.record / str(environment.distributions_in)).resolve() == paths.environment


def test_the_patch_is_the_one_that_the_record_names() -> None:
    paths = RunPaths(VERSIONS[0] / "run")
    patch = read(paths.code, CodeRecord).patch
    assert patch is not None
    assert digest_file(paths.record / patch.path) == patch.blake3


def test_the_aggregate_of_the_sample_stays_what_it_is(tmp_path: Path) -> None:
    result = aggregate([VERSIONS[0] / "sweep"])
    accuracy = next(row for row in result.rows if row.metric == "test.accuracy")
    values = [read_result(str(VERSIONS[0] / "sweep" / num))["test.accuracy"] for num in ("0", "1")]  # type: ignore[index]
    assert accuracy.mean == pytest.approx(sum(values) / 2, rel=1e-15)
    assert (accuracy.n, accuracy.planned, accuracy.failed, accuracy.missing) == (2, 3, 1, 0)
    assert [item.reason for item in result.left_out] == ["failed: ValueError: loss is not finite"]
    copy = tmp_path / "sweep"
    shutil.copytree(VERSIONS[0] / "sweep", copy)
    shutil.rmtree(copy / "1")
    assert next(row for row in aggregate([copy]).rows if row.metric == "test.accuracy").missing == 1
