"""What `python train.py +repro=strict` says of each setting, and what the options make of them."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from doors_project import Project, finding_ids, load, result

from repro_hydra.determinism import SETTINGS
from repro_hydra.determinism.addresses import can_be_fixed

SCRIPT = """\
import os
import time

import hydra
import numpy as np


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    umask = os.umask(0)
    os.umask(umask)
    return {"offset_s": time.localtime().tm_gmtoff, "umask": umask, "sum": float(np.ones(3).sum())}


if __name__ == "__main__":
    main()
"""
OPTION = "hydra.callbacks.repro.determinism"


def settings(run: Any) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in load(run, "determinism")["settings"]}


def layout_is(row: dict[str, Any]) -> bool:
    """Fixed where the kernel allows it; where not, that is written down, and harmless."""
    if can_be_fixed():
        return bool(
            (row["asked"], row["entry"], row["exit"], row["in_force"]) == ("fixed", "fixed", "fixed", True)
        )
    return row["asked"] == "fixed" and row["in_force"] is False


def test_each_setting_is_listed_with_what_was_asked_what_is_in_force_and_how_that_was_probed(
    project: Project,
) -> None:
    """One row each, in a run alone and in the jobs of a sweep, which begin at fixed addresses too."""
    project.holding(SCRIPT)
    project.run("+repro=strict").ok()
    alone = project.only_run()
    rows = settings(alone)
    assert list(rows) == [setting.name for setting in SETTINGS]
    for row in rows.values():
        assert {"asked", "entry", "first_step", "exit", "in_force", "how", "why", "when"} <= row.keys()
        assert row["how"]
        if row["asked"] is not None and row["name"] != "address_layout":
            assert row["in_force"] is True, row
            assert row["entry"] == row["exit"], row
    assert rows["hash_seed"]["entry"] == "0"
    assert rows["blas.threads"]["entry"] == 1
    assert rows["torch.threads"]["how"] == "torch not imported"
    assert layout_is(rows["address_layout"])
    assert load(alone, "run")["upheld"] == "yes"

    project.run("-m", "+repro=strict", "seed=1,2").ok()
    jobs = [run for run in project.runs() if run != alone]
    assert len(jobs) == 2
    for job in jobs:
        assert layout_is(settings(job)["address_layout"]), finding_ids(job)
        assert load(job, "run")["upheld"] == "yes"


def test_what_is_the_programs_own_is_pinned_only_where_an_option_asks(project: Project) -> None:
    """Time zone, umask and CPU instructions: as the shell has them, or as asked, from the interpreter's start."""
    project.holding(SCRIPT)
    shell = {"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8"}
    pins = (f"{OPTION}.time_zone=UTC", f"{OPTION}.umask='027'", f"{OPTION}.cpu_capability=avx2")
    project.run("+repro=strict", **shell).ok()
    project.run("+repro=strict", *pins, **shell).ok()
    own, pinned = project.runs()
    assert result(own)["offset_s"] == 9 * 3600
    assert settings(own)["time_zone"]["entry"] == "Asia/Tokyo"
    assert settings(own)["time_zone"]["asked"] is None
    assert result(pinned) == {"offset_s": 0, "umask": 0o027, "sum": 3.0}
    rows = settings(pinned)
    for name, value in (
        ("time_zone", "UTC"), ("umask", "027"), ("environment.ATEN_CPU_CAPABILITY", "avx2"),
        ("environment.OPENBLAS_CORETYPE", "Haswell"), ("environment.MKL_CBWR", "AVX2"),
    ):  # fmt: skip
        assert (rows[name]["asked"], rows[name]["entry"], rows[name]["in_force"]) == (value, value, True), (
            name
        )


@pytest.mark.parametrize(
    ("option", "found"), [("nccl_algo=NVLS", "NVLS"), ("cublas_workspace=':8:8'", ":8:8")]
)
def test_a_value_that_is_not_deterministic_is_refused(project: Project, option: str, found: str) -> None:
    """With those that are, before anything is created."""
    project.holding(SCRIPT)
    name = option.partition("=")[0]
    told = project.run("+repro=strict", f"{OPTION}.{option}")
    told.refused(1, f"setting-not-deterministic:{name}", found)
    assert project.runs() == []


@pytest.mark.parametrize(
    ("option", "found"),
    [
        ("time_zone=Mars/Olympus", "Mars/Olympus"),
        ("umask=888", "888"),
        ("locale=xx_YY", "xx_YY"),
        ("threads=0", "0"),
    ],
)
def test_a_pin_that_is_none_is_misuse(project: Project, option: str, found: str) -> None:
    """The C library would take an unknown zone for UTC without a word."""
    project.holding(SCRIPT)
    project.run("+repro=strict", f"{OPTION}.{option}").refused(2, option.partition("=")[0], found)
    assert project.runs() == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no such flag")
def test_a_running_process_keeps_its_layout(project: Project) -> None:
    """Standard starts nothing again, and leaves the addresses as they are."""
    project.holding(SCRIPT)
    project.run("+repro=standard").ok()
    row = settings(project.only_run())["address_layout"]
    assert (row["asked"], row["in_force"]) == (None, None)
    assert row["entry"] in ("randomised", "fixed")
