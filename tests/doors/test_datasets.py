"""Datasets that a run declares, through both of Hydra's doors and from a plain script."""

from __future__ import annotations

from pathlib import Path

import pytest
from doors_project import Project, finding_ids, load

READING = """\
import hydra, repro_hydra
from pathlib import Path


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    Path("ran").touch()
    text = Path("data/digits/a").read_text()
    if cfg.get("spoil"):
        Path("data/digits/a").write_text("spoilt")
    if cfg.get("more"):
        return {"length": len(Path(repro_hydra.dataset(cfg.more)).read_text())}
    return {"length": len(text)}


main()
"""
DECLARED = "hydra.callbacks.repro.data.datasets={digits: data/digits}"


@pytest.fixture
def reading(project: Project) -> Project:
    project.write("data/digits/a", "12345")
    project.write("data/more.txt", "123")
    project.write(".gitignore", "outputs/\nmultirun/\ndata/\nran\nrepro-data/\n")
    project.write("train.py", READING)
    project.write("conf/config.yaml", "seed: 1\ninput: data/digits\n")
    return project.commit()


def declared(run: Path) -> dict[str, dict[str, object]]:
    return {dataset["name"]: dataset for dataset in load(run, "data")["datasets"]}


def test_a_declared_dataset_stands_in_the_record(reading: Project) -> None:
    reading.run("+repro=strict", DECLARED).ok()
    run = reading.only_run()
    digits = declared(run)["digits"]
    assert (digits["path"], digits["files"], digits["size_bytes"]) == ("data/digits", 1, 5)
    assert load(run, "data")["coverage"]["watched"]
    assert load(run, "run")["upheld"] == "yes"


def test_a_run_without_datasets_says_what_was_not_watched(reading: Project) -> None:
    reading.run("+repro=strict").ok()
    data = load(reading.only_run(), "data")
    assert data["datasets"] == []
    assert data["coverage"]["not_watched"]
    assert "undeclared-input:data/digits/a" in finding_ids(reading.only_run())


def test_a_dataset_that_is_not_there_stops_a_strict_run(reading: Project) -> None:
    reading.run("+repro=strict", "hydra.callbacks.repro.data.datasets={a: no/where}").refused(1, "no/where")
    assert reading.runs() == []
    assert not (reading.top / "ran").exists()


def test_registered_data_that_changed_stops_a_strict_run(reading: Project) -> None:
    """The guard barks at a flipped byte, and not before."""
    cli = ("-m", "repro_hydra")
    reading.run("data", "add", "data/digits", program=cli).ok()
    reading.run("+repro=strict", DECLARED).ok()
    (reading.top / "data/digits/a").write_text("12346")
    reading.run("+repro=strict", DECLARED).refused(1, "data-changed:digits")
    reading.run("+repro=strict", DECLARED, "hydra.callbacks.repro.data.auto_version=true").ok()
    assert declared(reading.runs()[-1])["digits"]["registered"] is True
    reading.run("+repro=strict", DECLARED).ok()


def test_data_that_changes_during_the_run_takes_upheld_away(reading: Project) -> None:
    """The result is kept, exit status and all."""
    reading.run("+repro=strict", DECLARED, "+spoil=true").ok()
    run = reading.only_run()
    assert load(run, "result") == {"length": 5}
    assert load(run, "run")["upheld"] == "no"
    assert "data-changed-meanwhile:digits" in finding_ids(run)


def test_the_task_declares_one_itself(reading: Project) -> None:
    reading.run("+repro=strict", "+more=data/more.txt", "hydra.job.chdir=false").ok()
    run = reading.only_run()
    assert load(run, "result") == {"length": 3}
    assert declared(run)["more.txt"]["size_bytes"] == 3


def test_jobs_of_a_sweep_have_them_too(reading: Project) -> None:
    """Hashed once, when it was submitted; a job that finds other data than that is not begun."""
    done = reading.run("-m", "+repro=strict", DECLARED, "+spoil=false,true,null")
    assert done.code != 0
    runs = reading.runs()
    assert [set(declared(run)) for run in runs] == [{"digits"}] * 3
    assert [load(run, "data")["verified"] for run in runs] == ["stat"] * 3
    assert [load(run, "run")["status"] for run in runs] == ["completed", "completed", "failed"]
    assert [load(run, "run")["upheld"] for run in runs] == ["yes", "no", "no"]
    assert "data-changed:digits" in finding_ids(runs[2])


def test_a_sweep_over_datasets_records_the_one_of_each_job(reading: Project) -> None:
    own = "hydra.callbacks.repro.data.datasets={d: ${input}}"
    reading.run("-m", "+repro=strict", own, "input=data/digits,data/more.txt").ok()
    paths = {str(declared(run)["d"]["path"]) for run in reading.runs()}
    assert paths == {"data/digits", "data/more.txt"}


def test_a_root_and_what_is_ignored(reading: Project) -> None:
    (reading.top / "data/digits/x.tmp").touch()
    options = "hydra.callbacks.repro.data"
    reading.run(
        "+repro=strict",
        f"{options}.datasets={{digits: digits}}",
        f"{options}.root=data",
        f"{options}.ignore=['*.tmp']",
    ).ok()
    assert declared(reading.only_run())["digits"]["files"] == 1
    assert load(reading.only_run(), "run")["upheld"] == "yes"  # what was read of it counts as declared


def test_a_plain_script_declares_them_in_its_session(reading: Project) -> None:
    """By their names, as a list, or as one path; two of one name are refused, not one of them dropped."""
    reading.write(
        "plain.py",
        "import repro_hydra\n"
        "try:\n"
        "    with repro_hydra.session({'seed': 1}, datasets=['data/digits', 'old/digits']):\n"
        "        pass\n"
        "except ValueError as error:\n"
        "    print(error)\n"
        "with repro_hydra.session({'seed': 1}, datasets='data/digits') as run:\n"
        "    repro_hydra.dataset('data/more.txt')\n"
        "print(repro_hydra.dataset('data/more.txt'))\n",
    )
    done = reading.run(program=("plain.py",)).ok()
    assert str(reading.top / "data/more.txt") in done.out
    assert "'data/digits' and 'old/digits' would both be called 'digits'" in done.out
    assert set(declared(reading.only_run())) == {"digits", "more.txt"}
