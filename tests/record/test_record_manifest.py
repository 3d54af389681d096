from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from made_records import make_run

from repro_hydra import verify
from repro_hydra.record.manifest import digest_bytes, digest_file, read_manifest, write_manifest
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.store import RecordError


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(make_run(tmp_path / "run", result={"x": 1}))


def names(paths: RunPaths) -> list[str]:
    return [entry.path for entry in read_manifest(paths).files]


def test_the_digest_is_blake3() -> None:
    # The empty input's digest, from the reference implementation's test vectors.
    assert digest_bytes(b"") == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


def test_a_files_digest_is_that_of_its_bytes(tmp_path: Path) -> None:
    data = os.urandom(3_000_001)  # more than two chunks
    (tmp_path / "a").write_bytes(data)
    assert digest_file(tmp_path / "a") == digest_bytes(data)


@pytest.mark.skipif(shutil.which("b3sum") is None, reason="b3sum is not installed")
def test_the_digest_is_what_b3sum_prints(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    printed = subprocess.run(
        ["b3sum", "--no-names", tmp_path / "a"], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == digest_file(tmp_path / "a")


def test_the_manifest_names_each_file_of_record_and_job(paths: RunPaths) -> None:
    (paths.run_dir / "checkpoints").mkdir()
    (paths.run_dir / "checkpoints" / "weights.pt").write_bytes(b"w")
    (paths.run_dir / ".hydra").mkdir()
    (paths.run_dir / ".hydra" / "config.yaml").write_text("a: 1")
    write_manifest(paths)
    assert names(paths) == [
        ".hydra/config.yaml",
        ".repro/config.json",
        ".repro/result.json",
        ".repro/run.json",
        "checkpoints/weights.pt",
    ]
    entry = next(entry for entry in read_manifest(paths).files if entry.path.endswith("weights.pt"))
    assert (entry.size_bytes, entry.blake3) == (1, digest_bytes(b"w"))


def test_it_returns_its_own_digest_and_is_the_same_for_the_same_files(paths: RunPaths) -> None:
    digest = write_manifest(paths)
    assert digest == digest_file(paths.manifest)
    assert write_manifest(paths) == digest
    (paths.run_dir / "more").write_text("")
    assert write_manifest(paths) != digest


def test_other_runs_below_have_their_own(paths: RunPaths) -> None:
    inner = make_run(paths.run_dir / "jobs" / "0")
    (inner / "weights.pt").write_text("w")
    (paths.run_dir / "jobs" / "shared.txt").write_text("s")
    write_manifest(paths)
    assert "jobs/shared.txt" in names(paths)
    assert not any(name.startswith("jobs/0") for name in names(paths))


def test_earlier_records_and_halves_of_writes_are_passed_over(paths: RunPaths) -> None:
    (paths.earlier / "abc").mkdir(parents=True)
    (paths.earlier / "abc" / "run.json").write_text("{}")
    (paths.record / ".run.json.x1.tmp").write_text("half")
    (paths.run_dir / "mine.tmp").write_text("the job's own")
    write_manifest(paths)
    assert "mine.tmp" in names(paths)
    assert not any("earlier" in name or name.endswith("x1.tmp") for name in names(paths))


def test_what_cannot_be_digested_is_named(paths: RunPaths) -> None:
    (paths.run_dir / "dangling").symlink_to("nowhere")
    os.mkfifo(paths.run_dir / "pipe")
    write_manifest(paths)
    assert set(read_manifest(paths).left_out) == {"dangling", "pipe"}


def test_no_manifest_is_told(paths: RunPaths) -> None:
    with pytest.raises(RecordError, match=r"manifest\.json"):
        read_manifest(paths)


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux")
def test_a_file_whose_name_is_no_utf_8_is_named_and_costs_no_other_its_digest(paths: RunPaths) -> None:
    """JSON has no text for such a name; `verify` then says that the file was never digested."""
    Path(os.fsdecode(os.fsencode(paths.run_dir) + b"/weights-\xff.npz")).write_bytes(b"w")
    (paths.run_dir / "weights.npz").write_bytes(b"w")
    write_manifest(paths)
    assert "weights.npz" in names(paths)
    assert read_manifest(paths).left_out == {"weights-\\xff.npz": "its name is no UTF-8"}
    problems = [f.message for f in verify(paths.run_dir).findings if f.area == "record"]
    assert problems == [
        "weights-\\xff.npz: was never digested (its name is no UTF-8)",
        "unchanged since its manifest; not signed",
    ]
