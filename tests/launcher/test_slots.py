"""`repro_hydra.launcher.slots`: which GPUs each job sees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from repro_hydra.launcher.slots import SlotError, gpus_here, share_gpus


@pytest.mark.parametrize(
    ("visible", "gpus"),
    [("0,1", ["0", "1"]), (" 3 , GPU-a1 ", ["3", "GPU-a1"]), ("", []), ("-1", []), ("2,-1,3", ["2"])],
)
def test_the_variable_decides_which_are_here(visible: str, gpus: list[str]) -> None:
    """CUDA reads the list up to the first -1, so that is what there is to share."""
    assert gpus_here({"CUDA_VISIBLE_DEVICES": visible}) == gpus


def _nvidia_smi(folder: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def test_without_the_variable_the_driver_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPUs are those that the driver lists."""
    _nvidia_smi(tmp_path, "echo 0; echo 1", monkeypatch)
    assert gpus_here({}) == ["0", "1"]


def test_a_driver_that_fails_has_no_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken driver is no traceback: there is nothing to share."""
    _nvidia_smi(tmp_path, "echo 'No devices' ; exit 9", monkeypatch)
    assert gpus_here({}) == []


def test_without_a_driver_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most machines have none."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus_here({}) == []


def test_each_slot_has_its_own() -> None:
    """No GPU is in two slots; where none are asked for, jobs see what the parent sees."""
    assert share_gpus(["a", "b", "c", "d", "e"], 2, 2) == [["a", "b"], ["c", "d"]]
    assert share_gpus(["a"], 3, 0) == [None, None, None]


def test_too_few_are_refused_with_both_numbers() -> None:
    """The message tells what was asked, what is there and how to name them."""
    with pytest.raises(
        SlotError, match=r"n_jobs=2 with gpus_per_job=2 needs 4 GPUs, found 3\. .*gpus=\[0,1\]"
    ):
        share_gpus(["0", "1", "2"], 2, 2)
