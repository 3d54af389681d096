"""How undeclared inputs are described: hubs by revision, weights by their promise, and never without an end."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from repro_hydra.inputs.recorder import Recorder
from repro_hydra.inputs.stamps import Stamp, stamp_of
from repro_hydra.record.code import CodeRecord
from repro_hydra.record.data import DataRecord, DatasetRecord, InputRecord
from repro_hydra.record.schema import Finding
from repro_hydra.session import inputs as module
from repro_hydra.session.inputs import JobInputs, JobPlaces


@pytest.fixture
def job(tmp_path: Path) -> JobInputs:
    made = JobInputs(
        JobPlaces(run_dir=tmp_path / "project/outputs/1", cwd=tmp_path / "project"),
        {"HOME": str(tmp_path / "home")},
    )
    (tmp_path / "project/outputs/1").mkdir(parents=True)
    made._recorder = Recorder(from_start=True)
    made._recorder.started_ns *= 2  # all that the test makes was there before
    return made


def read(job: JobInputs, *paths: Path) -> None:
    assert job._recorder is not None
    for path in paths:
        job._recorder.reads[str(path)] = stamp_of(path.stat())


def report(job: JobInputs, **options: bool) -> tuple[dict[str, InputRecord], dict[str, Finding]]:
    data, findings = job.report(DataRecord(), CodeRecord(), **options)
    return {item.path: item for item in data.inputs}, {finding.id: finding for finding in findings}


def make(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_hubs_are_listed_by_repository_and_revision(job: JobInputs, tmp_path: Path) -> None:
    """One entry a revision, though it was fetched by this very run; a branch says that it is none."""
    hub = tmp_path / "home/.cache/huggingface/hub/models--org--name"
    commit = "a" * 40
    files = [make(hub / f"snapshots/{commit}/{name}") for name in ("config.json", "model.safetensors")]
    read(job, *files, make(hub / "refs/main"), make(hub / "snapshots/main/vocab.txt"))
    assert job._recorder is not None
    job._recorder.started_ns = 0
    inputs, findings = report(job)
    exact = inputs[str(hub / "snapshots" / commit)]
    assert (exact.kind, exact.repository, exact.revision, exact.files) == ("hub", "hf://org/name", commit, 2)
    assert set(findings) == {
        f"undeclared-input:hf://org/name@{commit}",
        "undeclared-input:hf://org/name@main",
    }
    assert inputs[str(hub / "snapshots/main")].reason is not None


def test_weights_of_torchs_hub_keep_the_promise_of_their_name(job: JobInputs, tmp_path: Path) -> None:
    content = b"weights"
    folder = tmp_path / "home/.cache/torch/hub/checkpoints"
    true = make(folder / f"net-{hashlib.sha256(content).hexdigest()[:8]}.pth", content)
    false = make(folder / "net-01234567.pth", content)
    read(job, true, false)
    inputs, findings = report(job)
    assert (inputs[str(true)].kind, inputs[str(true)].repository) == ("hub", f"torch-hub://{true.name}")
    assert inputs[str(false)].repository is None
    assert "promises" in str(inputs[str(false)].reason)
    assert all(finding.severity == "may_change_bits" for finding in findings.values())


def test_a_file_of_another_run_is_listed_and_harmless(job: JobInputs, tmp_path: Path) -> None:
    weights = make(tmp_path / "project/outputs/0/weights.pt")
    (tmp_path / "project/outputs/0/.hydra").mkdir()
    read(job, weights)
    inputs, findings = report(job)
    assert inputs["outputs/0/weights.pt"].kind == "run"
    assert findings["input-of-a-run:outputs/0/weights.pt"].severity == "harmless"


def test_settings_in_the_home_are_named(job: JobInputs, tmp_path: Path) -> None:
    """They are no inputs, since libraries read their own; a script's own may change what it computes."""
    read(job, make(tmp_path / "home/.config/mine/rate.toml"), make(tmp_path / "home/.cache/pip/x"))
    data, findings = job.report(DataRecord(), CodeRecord())
    assert (data.inputs, findings) == ([], [])
    (line,) = [line for line in data.coverage.not_watched if "settings" in line]
    assert line.endswith(f"1 settings of the user's that were read: {tmp_path}/home/.config/mine/rate.toml")


def test_what_a_library_cached_is_mended_there(job: JobInputs, tmp_path: Path) -> None:
    """The cache of `map` is nobody's data to declare."""
    read(job, make(tmp_path / "project/data/cache-0a1f.arrow"))
    _, findings = report(job)
    assert "datasets.disable_caching()" in findings["undeclared-input:data/cache-0a1f.arrow"].message


def test_a_job_that_was_told_to_end_digests_little(
    job: JobInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_IN_A_HURRY_BYTES", 2)
    read(job, make(tmp_path / "project/a", b"1"), make(tmp_path / "project/b", b"1234"))
    inputs, findings = report(job, hurry=True)
    assert inputs["a"].digest is not None
    assert (inputs["b"].digest, inputs["b"].size_bytes) == (None, 4)
    assert "undeclared" in str(inputs["b"].reason)
    assert set(findings) == {"undeclared-input:a", "undeclared-input:b"}


def test_beyond_the_limit_the_rest_is_counted(
    job: JobInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_LISTED", 3)
    read(job, *(make(tmp_path / f"project/{number}") for number in range(5)))
    data, findings = job.report(DataRecord(), CodeRecord())
    assert (len(data.inputs), data.inputs_total) == (3, 5)
    assert findings[-1].id == "undeclared-input:and-more"
    assert findings[-1].message.startswith("2 more")


def test_names_of_any_bytes_can_be_said_and_waived(job: JobInputs, tmp_path: Path) -> None:
    read(job, make(tmp_path / "project" / os.fsdecode(b"\xff\n:1")))
    _, findings = report(job)
    (finding,) = findings.values()
    assert finding.id == "undeclared-input:\\xff\\n:1"
    assert finding.message.isprintable()


def test_a_file_that_vanished_has_no_digest_and_a_reason(job: JobInputs) -> None:
    assert job._recorder is not None
    job._recorder.reads["/data/gone.csv"] = Stamp(3, 1, 1, 1, 1)
    inputs, findings = report(job)
    assert inputs["/data/gone.csv"].digest is None
    assert "removed" in str(inputs["/data/gone.csv"].reason)
    assert "data-changed-meanwhile:/data/gone.csv" in findings


def test_a_fault_of_the_watch_takes_the_promise_away(job: JobInputs) -> None:
    assert job._recorder is not None
    job._recorder.failure = "open: RuntimeError: a fault"
    _, findings = report(job)
    assert findings["inputs-not-watched"].severity == "may_change_bits"


def test_more_files_than_can_be_kept_must_be_declared(job: JobInputs, tmp_path: Path) -> None:
    """What was not kept is no reason to uphold a promise; in a declared dataset there is nothing to keep."""
    assert job._recorder is not None
    job._recorder.folders[str(tmp_path / "project/data/many")] = 3
    _, findings = report(job)
    assert "data/many" in findings["inputs-not-watched"].message
    declared = DatasetRecord(name="d", path="data", version="v", digest="d", size_bytes=0, files=0)
    _, none = job.report(DataRecord(datasets=[declared]), CodeRecord())
    assert none == []
