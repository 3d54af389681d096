"""`repro_hydra.launcher.directories` and `.frozen`: where jobs write, and the configs they were planned with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra.conf import HydraConf
from omegaconf import DictConfig, OmegaConf

from repro_hydra.groups import is_repro, without_repro
from repro_hydra.launcher.directories import job_directory, shared_directories
from repro_hydra.launcher.frozen import FrozenConfigLoader, config_file


def composed(**changes: Any) -> DictConfig:
    """The part of a composed config that these rooms read."""
    hydra = {
        "job": {
            "override_dirname": "",
            "config": {"override_dirname": {"kv_sep": "=", "item_sep": ",", "exclude_keys": ["seed"]}},
        },
        "overrides": {"task": ["+repro=strict", "+repro/seed=off", "lr=0.1", "seed=1", "a=2"]},
        "sweep": {"dir": "multirun", "subdir": "${hydra.job.num}"} | changes,
    }
    config = OmegaConf.create({"seed": 1, "hydra": OmegaConf.merge(OmegaConf.structured(HydraConf), hydra)})
    OmegaConf.set_readonly(config.hydra, True)
    return config


class Loader:
    """Stands for Hydra's loader: composes what the YAML holds now."""

    value = 1

    def load_sweep_config(self, master: DictConfig, overrides: list[str]) -> DictConfig:
        config = composed()
        config.seed = self.value
        return config


def test_a_job_has_the_directory_of_its_number() -> None:
    """The directory is known before the job starts, except where only its launcher knows the job's id."""
    assert job_directory(composed(), 3) == Path("multirun/3").absolute()
    assert job_directory(composed(subdir="x_${hydra.job.id}"), 3) is None
    assert job_directory(composed(subdir="${nothing.there}"), 3) is None


def test_two_jobs_in_one_directory_are_found() -> None:
    """A shared directory is one finding that names the jobs; unknown ones share nothing."""
    places = [(0, Path("/a/same")), (1, Path("/a/same")), (2, Path("/a/own")), (3, None), (4, None)]
    (found,) = shared_directories(places)
    assert (found.id, found.severity) == ("job-directories-shared:same", "blocks")
    assert "jobs 0, 1 would share" in found.message


def test_repro_does_not_show_in_directory_names() -> None:
    """Our groups are taken out of `override_dirname`, excluded keys stay out, the rest is as Hydra has it."""
    config = composed()
    without_repro(config)
    assert config.hydra.job.override_dirname == "a=2,lr=0.1"
    assert [is_repro(key) for key in ("repro", "repro/seed", "reproduce", "my/repro")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("main_by_reference", [True, False])
def test_a_job_gets_the_config_it_was_planned_with(tmp_path: Path, main_by_reference: bool) -> None:
    """A YAML edited while the sweep runs changes no planned job; one that nobody planned is composed now."""
    inner = Loader()
    loader = FrozenConfigLoader(inner, str(tmp_path))
    planned = loader.compose(composed(), ["seed=1"])
    loader.freeze(planned, ["seed=1"], main_by_reference=main_by_reference)
    inner.value = 2
    assert loader.load_sweep_config(composed(), ["seed=1"]).seed == 1
    other = loader.load_sweep_config(composed(), ["seed=9"])
    assert (other.seed, other.hydra.sweep.dir) == (2, str(tmp_path))
    assert loader.value == 2  # everything else is the inner loader's


def test_each_list_of_overrides_has_its_file(tmp_path: Path) -> None:
    """Overrides that read alike when joined are still two jobs, and their folder is this user's alone."""
    assert config_file(tmp_path, ["a=1", "b=2"]) == config_file(tmp_path, ["a=1", "b=2"])
    assert len({config_file(tmp_path, o) for o in (["a=1,b=2"], ["a=1", "b=2"], ["a=1b=2"], [])}) == 4
    loader = FrozenConfigLoader(Loader(), str(tmp_path))
    loader.freeze(composed(), ["a=1"], main_by_reference=False)
    assert config_file(tmp_path, ["a=1"]).parent.stat().st_mode & 0o777 == 0o700
