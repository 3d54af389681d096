"""A sweep by Ray, for real: runs where the extra `ray` is installed, which goes into no environment with joblib 1.6.

``pip install '.[ray]' pytest pytest-timeout hypothesis; pytest tests/doors/test_ray.py``
"""

from __future__ import annotations

import re
from importlib.util import find_spec

import pytest
from doors_project import Project, load, result

pytestmark = pytest.mark.skipif(
    find_spec("hydra_plugins.hydra_ray_launcher") is None,
    reason="the extra `ray` is not installed: Ray has 240 MB, and its Hydra launcher needs cloudpickle < 3",
)

SCRIPT = """\
import os
import random
import signal
import sys
from pathlib import Path

import hydra
import numpy as np

TOP = random.Random(99).random()
LEFT_BEHIND = []


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    LEFT_BEHIND.append(1)
    with open(Path(cfg.begun, f"{cfg.what}-{cfg.seed}"), "a") as stream:
        stream.write("begun ")
    if cfg.what == "raise":
        raise ValueError("an odd one")
    if cfg.what == "exit":
        sys.exit(3)
    if cfg.what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    return {
        "python": random.random(),
        "top": TOP,
        "numpy": float(np.random.rand()),
        "dot": float(np.random.rand(2000) @ np.random.rand(2000)),
        "hash": hash("a") % 1000003,
        "jobs_before": len(LEFT_BEHIND) - 1,
        "single": "-m" not in sys.argv and f"seed={cfg.seed}" in sys.argv,
    }


if __name__ == "__main__":
    main()
"""
CONFIG = "seed: 1\nwhat: fine\nbegun: ${hydra:runtime.cwd}/outputs\n"
RAY = [
    "hydra/launcher=ray",
    "+hydra.launcher.ray.init.num_cpus=2",
    "+hydra.launcher.ray.init.include_dashboard=false",
]


def test_a_sweep_by_ray(project: Project) -> None:
    """Each job has a process of its own, the bits of the plain sweep, and its own fate, and is begun once."""
    project.holding(SCRIPT, CONFIG)
    (project.top / "outputs").mkdir()
    project.run("-m", "+repro=strict", "hydra.sweep.dir=multirun/here", "seed=1,2,3").ok()
    project.run("-m", "+repro=strict", *RAY, "hydra.sweep.dir=multirun/ray", "seed=1,2,3").ok()
    here, ray = (project.top / "multirun" / name for name in ("here", "ray"))
    for number in range(3):
        assert result(ray / str(number)) == result(here / str(number))
        run = load(ray / str(number), "run")
        assert (run["status"], run["upheld"], run["launcher"]) == ("completed", "yes", "ray"), run["findings"]
    assert result(ray / "2")["jobs_before"] == 0
    assert load(ray, "sweep")["launcher"] == "ray"

    ended = project.run(
        "-m", "+repro=strict", *RAY, "hydra.sweep.dir=multirun/fates", "what=raise,kill,exit,fine", "seed=7"
    )
    assert ended.code == 1
    fates = project.top / "multirun" / "fates"
    assert [job["status"] for job in load(fates, "sweep")["jobs"]] == [*["failed"] * 3, "completed"]
    errors = [load(fates / str(number), "run")["error"]["message"] for number in range(3)]
    for error, words in zip(errors, ("an odd one", "SIGKILL", "3"), strict=True):
        assert words in error
    begun = {entry.name: entry.read_text().split() for entry in (project.top / "outputs").glob("*-7")}
    assert begun == {f"{what}-7": ["begun"] for what in ("raise", "kill", "exit", "fine")}


def test_a_sweep_by_ray_is_not_left(project: Project) -> None:
    """Its jobs end with it: refused by name, before Ray is started."""
    project.holding(SCRIPT, CONFIG)
    ended = project.run("-m", "+repro=strict", *RAY, "seed=1,2", "hydra.callbacks.repro.wait=false")
    ended.refused(2, "wait=false", "found ray")
    assert re.search("ray instance", ended.text, re.IGNORECASE) is None
