"""Which files are no inputs, which are copies of a hub's, and how many files become few names."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from repro_hydra.doctor.machine import about_inputs
from repro_hydra.inputs.folders import in_folders
from repro_hydra.inputs.hubs import hub_source, is_index_of_hub, promised_sha256
from repro_hydra.inputs.places import START_FILE, Places


@pytest.fixture
def places(tmp_path: Path) -> Places:
    run_dir = tmp_path / "project/outputs/1"
    run_dir.mkdir(parents=True)
    home = {"HOME": str(tmp_path / "home"), "MPLCONFIGDIR": str(tmp_path / "mpl")}
    return Places([str(tmp_path / "project")], str(run_dir), home, config_dirs=[str(tmp_path / "configs")])


@pytest.mark.parametrize(
    "path",
    [
        "/etc/localtime", "/proc/cpuinfo", "/usr/share/zoneinfo/UTC", "/usr/lib/x",
        "{home}/.config/matplotlib/matplotlibrc",
        "{home}/.cache/matplotlib/fontlist.json", "{home}/.netrc", "{home}/.cache/huggingface/token", "{mpl}/x.json",
        "{project}/.venv/lib/python3/site-packages/a/data.csv", "{project}/.git/HEAD", "{project}/outputs/1/model.pt",
        "{project}/outputs/1/.hydra/config.yaml", "{project}/.env", "{project}/mlruns/0/meta.yaml", "{configs}/a.yaml",
        "{project}/wandb/run-1/logs/a.log", "{project}/pkg/__pycache__/a.nbi", "/dev/shm/sem.mp-1", "/run/systemd/x",
        "{project}/pkg/__pycache__/a.cpython-311.pyc", "{project}/repro-data/registry.jsonl",
    ],
)  # fmt: skip
def test_no_input(places: Places, tmp_path: Path, path: str) -> None:
    names = {name: str(tmp_path / name) for name in ("home", "project", "mpl", "configs")}
    assert places.excludes(path.format(**names))
    assert places.excludes(f"{sys.prefix}/lib/anything")


@pytest.mark.parametrize(
    "path",
    [
        "/usr/local/data/x.csv", "/data/x.csv", "/tmp/x.csv", "{home}/scikit_learn_data/x.pkz", "{home}/nltk_data/x",
        "{home}/.cache/torch/hub/checkpoints/a.pth", "{home}/.cache/huggingface/hub/models--a/snapshots/1/x",
        "{project}/data/x.csv", "{project}/mlruns/0/run/artifacts/model.pkl", "{configs}/x.csv",
        "{project}/outputs/0/.hydra/config.yaml", "{project}/outputs/0/.repro/result.json", "/dev/shm/staged/x.npy",
        "{project}/wandb/run-1/files/model.pt", "{project}/wandb/x.csv", "{project}/pkg/__pycache__/statistics.npz",
        "/run/media/me/disk/x.csv", "{project}/outputs/10/x", "{home}/.cached/x", "{project}/environment.csv",
    ],
)  # fmt: skip
def test_an_input(places: Places, tmp_path: Path, path: str) -> None:
    names = {name: str(tmp_path / name) for name in ("home", "project", "mpl", "configs")}
    assert not places.excludes(path.format(**names))


def test_the_project_is_never_taken_for_a_run_or_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run directory that is the project itself, and a virtual environment made at its top."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    (tmp_path / ".hydra").mkdir()
    (tmp_path / "old/.hydra").mkdir(parents=True)
    places = Places([str(tmp_path)], str(tmp_path), {"HOME": "/home/nobody"})
    assert not places.excludes(str(tmp_path / "data/x.csv"))
    assert not places.in_a_run(str(tmp_path / "data/x.csv"))
    assert places.excludes(str(tmp_path / "lib/python3/x"))
    assert places.in_a_run(str(tmp_path / "old/weights/a.pt"))


def test_hubs_are_known_by_repository_and_revision() -> None:
    commit = "a" * 40
    model = hub_source(f"/h/hub/models--org--name/snapshots/{commit}/sub/config.json")
    assert model is not None
    assert (model.repository, model.revision, model.exact) == ("hf://org/name", commit, True)
    assert model.folder == f"/h/hub/models--org--name/snapshots/{commit}"
    data = hub_source("/h/hub/datasets--squad/snapshots/main/x.parquet")
    assert data is not None
    assert (data.repository, data.exact) == ("hf://datasets/squad", False)
    made = hub_source("/h/.cache/huggingface/datasets/org___set/default/0.0.0/" + "b" * 40 + "/x.arrow")
    assert made is not None
    assert (made.repository, made.revision) == ("hf://datasets/org/set", "b" * 40)
    code = hub_source("/h/torch/hub/pytorch_vision_v0.10.0/hubconf.py")
    assert code is not None
    assert (code.repository, code.revision, code.exact) == ("github.com/pytorch/vision", "v0.10.0", False)
    assert hub_source("/h/torch/hub/checkpoints/resnet18-f37072fd.pth") is None
    assert promised_sha256("/h/torch/hub/checkpoints/resnet18-f37072fd.pth") == "f37072fd"
    assert hub_source("/data/github/org_name_main.csv") is None
    assert is_index_of_hub("/h/hub/models--org--name/refs/main")


def test_many_files_become_the_folder_of_their_data_set() -> None:
    """Ten classes are one data set; two splits of many are two names; what lies beside them is named by itself."""
    classes = [f"/p/data/mnist/{digit}/{n}.png" for digit in range(10) for n in range(30)]
    splits = [f"/p/data/net/{split}/{n}/x.png" for split in ("train", "val") for n in range(40)]
    named = in_folders([*classes, *splits, "/p/data/a.csv", "/p/b.csv"], never={"/p", "/p/data"})
    assert {name: len(files) for name, files in named.items()} == {
        "/p/data/mnist": 300,
        "/p/data/net/train": 40,
        "/p/data/net/val": 40,
        "/p/data/a.csv": 1,
        "/p/b.csv": 1,
    }
    wide = in_folders([f"/p/{n}.csv" for n in range(50)], never={"/p"})
    assert len(wide) == 50


def test_an_environment_without_the_start_file_is_told_of_it(tmp_path: Path) -> None:
    """By `doctor`, which also has the command; this environment has it, or its children would not be watched."""
    assert list(about_inputs()) == []
    (advice,) = about_inputs([str(tmp_path)])
    assert advice.id == "inputs-start-file"
    (tmp_path / START_FILE).touch()
    assert list(about_inputs([str(tmp_path)])) == []


def test_a_folder_that_an_installer_filled_is_the_environments(tmp_path: Path) -> None:
    """``pip install --target``; a folder on PYTHONPATH that none filled is an input like any other."""
    for name in ("installed", "mine"):
        (tmp_path / name).mkdir()
    (tmp_path / "installed/dependency-1.0.dist-info").mkdir()
    path = os.pathsep.join(str(tmp_path / name) for name in ("installed", "mine", "missing"))
    places = Places(
        [str(tmp_path / "project")], str(tmp_path / "run"), {"HOME": "/home/nobody", "PYTHONPATH": path}
    )
    assert places.excludes(str(tmp_path / "installed/dependency.py"))
    assert not places.excludes(str(tmp_path / "mine/module.py"))
