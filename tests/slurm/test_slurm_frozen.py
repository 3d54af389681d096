"""Code that is edited between a job's submission and its start on a real Slurm."""

from __future__ import annotations

from pathlib import Path

import pytest
from doors_project import Project, finding_ids, load, result, wait_until
from slurm_cluster import Cluster

pytestmark = pytest.mark.slurm

SCRIPT = """\
from pathlib import Path

import hydra
from hydra import compose
from pkg.model import SIZE

VERSION = "old"


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    from pkg import late

    (Path(__file__).parent / f"made_{cfg.seed}.txt").write_text("")
    return {
        "version": VERSION == "old",
        "size": SIZE,
        "late": late.N,
        "group": cfg.group.name == "old",
        "composed": compose("config", []).group.name == "old",
        "beside": (Path(__file__).parent / "vocabulary.txt").read_text() == "old",
        "ignored": (Path(__file__).parent / "data/in.txt").read_text() == "input",
    }


if __name__ == "__main__":
    main()
"""
FILES = {
    "pkg/__init__.py": "",
    "pkg/model.py": "SIZE = 1\n",
    "pkg/late.py": "N = 5\n",
    "conf/group/a.yaml": "name: old\n",
    "vocabulary.txt": "old",
}
WAITING = (
    "-m",
    "+repro=strict",
    "hydra/launcher=submitit_slurm",
    "hydra.callbacks.repro.wait=false",
    "+hydra.launcher.additional_parameters={hold: true}",
)


def test_what_is_edited_while_jobs_wait(project: Project, cluster: Cluster) -> None:
    """Frozen, they run what was submitted, and the last takes the copy away; in place each names what was edited."""
    project.holding(SCRIPT, "defaults:\n  - group: a\n  - _self_\nseed: 3\n", **FILES)
    with (project.top / ".gitignore").open("a") as ignored:
        ignored.write("data/\nmade_*.txt\n")
    project.write("data/in.txt", "input")
    project.commit().run("+repro=strict").ok()
    alone = project.only_run()

    project.run(*WAITING, "seed=1,2", "hydra.sweep.dir=multirun/frozen").ok()
    project.run(
        *WAITING, "seed=1", "hydra.sweep.dir=multirun/inplace", "hydra.callbacks.repro.code.freeze=off"
    ).ok()
    frozen, in_place = (project.top / "multirun" / name for name in ("frozen", "inplace"))
    copies = Path(project.environment["HOME"]) / ".cache/repro-hydra/frozen"
    assert len(list(copies.iterdir())) == 1

    for path in ("train.py", "pkg/model.py", "conf/group/a.yaml", "vocabulary.txt"):
        file = project.top / path
        file.write_text(file.read_text().replace('"old"', '"new"').replace("old", "new").replace("1", "7"))
    (project.top / "pkg/late.py").unlink()
    project.git("commit", "-qam", "all is new")
    (frozen_array,), (in_place_array,) = (
        load(sweep, "sweep")["slurm_job_ids"] for sweep in (frozen, in_place)
    )
    cluster.ask("scontrol", "release", frozen_array, in_place_array)
    wait_until(lambda: not cluster.ask("squeue", "--noheader"))

    for job in (frozen / "0", frozen / "1"):
        assert load(job, "run")["status"] == "completed", load(job, "run")["error"]
        assert load(job, "run")["upheld"] == load(alone, "run")["upheld"]
        assert result(job) == result(alone)
        assert load(job, "code")["tree"] == load(alone, "code")["tree"]
    assert all(value is True for value in result(alone).values() if isinstance(value, bool))
    assert {path.name for path in project.top.glob("made_*")} == {"made_1.txt", "made_2.txt", "made_3.txt"}
    assert list(copies.iterdir()) == []

    edited = {f"code-changed-meanwhile:{path}" for path in ("train.py", "pkg/model.py", "pkg/late.py")}
    assert load(in_place / "0", "run")["status"] == "failed"
    assert edited < finding_ids(in_place / "0")
