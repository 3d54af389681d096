"""What a job reads without having declared it: named, digested, and held against a strict run. And no false alarms."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import blake3
import pytest
from doors_project import Project, finding_ids, load

READING = """\
import json, multiprocessing, os, sqlite3, subprocess, sys
from pathlib import Path

import hydra
import itertools
import local_module
import numpy as np
from omegaconf import OmegaConf

counted = itertools.count()
OmegaConf.register_new_resolver("counted", lambda: next(counted))
OmegaConf.register_new_resolver("cached", lambda: next(counted), use_cache=True)

TOP = Path("data/top.txt").read_text()


def read(name):
    return len(open(name).read())


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    np.load("data/x.npy")
    Path("tracked.txt").read_text()
    Path("data/declared/a").read_text()
    Path("untracked.txt").read_text()
    sqlite3.connect("data/base.db").execute("select * from t").fetchall()
    subprocess.run([sys.executable, "-c", "open('data/program').read()"], check=True)
    subprocess.run(["cat", "data/cat"], check=True, stdout=subprocess.DEVNULL)
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            pool.map(read, [f"data/{method}"])
    pid = os.fork()
    if pid == 0:
        open("data/exited").read()
        os._exit(0)  # like a worker that is killed: nothing of Python's end runs
    os.waitpid(pid, 0)
    Path("data/mine.txt").write_text("made here")
    Path("data/mine.txt").read_text()
    Path("data/later.txt").read_text()
    Path("data/later.txt").write_text("changed by the job")
    Path("data/mine.link").unlink(missing_ok=True)
    os.link("data/linked", "data/mine.link")
    read("data/mine.link")
    os.chmod("data/touched", 0o600)
    read("data/touched")
    sys.stdin.read()
    read("data/run/.hydra/config.yaml")
    open("/dev/urandom", "rb").read(1)
    dict(os.environ)
    read("schedule.txt")
    subprocess.run(["sh", "-c", "echo edited > schedule.txt"], check=True)
    read("schedule.txt")
    with open("log.txt", "a+") as log:
        log.write("one more run")
    os.chdir("data")
    read("moved_to.txt")
    os.chdir("..")
    for folder in ("cats", "dogs", "owls"):
        for number in range(25):
            read(f"data/images/{folder}/{number}.png")
    return 1.0


if __name__ == "__main__":
    main()
"""
UNDECLARED = {
    *("data/top.txt", "data/x.npy", "data/base.db", "data/program", "data/fork", "data/spawn", "data/exited"),
    *("data/later.txt", "data/moved_to.txt", "data/images", "data/mine.link", "data/touched", "data/stdin"),
    "local_module.py",
}


@pytest.fixture
def reading(project: Project) -> Project:
    import sqlite3

    import numpy as np

    for name in (
        "top.txt",
        "program",
        "cat",
        "fork",
        "spawn",
        "exited",
        "later.txt",
        "moved_to.txt",
        "declared/a",
        "linked",
        "touched",
        "stdin",
        "run/.hydra/config.yaml",
    ):
        project.write(f"data/{name}", name)
    for folder in ("cats", "dogs", "owls"):
        for number in range(25):
            project.write(f"data/images/{folder}/{number}.png", f"{folder}{number}")
    np.save(project.top / "data/x.npy", np.ones(3))
    with sqlite3.connect(project.top / "data/base.db") as base:
        base.execute("create table t (a)")
    base.close()
    project.write("tracked.txt", "tracked")
    project.write("schedule.txt", "tracked")
    project.write("log.txt", "tracked")
    project.write("local_module.py", "A = 1\n")
    project.write(".gitignore", "outputs/\nmultirun/\n__pycache__/\ndata/\nlocal_module.py\n")
    project.write("train.py", READING)
    project.write("conf/config.yaml", "seed: 1\nlayers: {count: '${counted:}', same: '${cached:}'}\n")
    project.commit()
    project.write("untracked.txt", "captured")
    return project


def undeclared(run: Path) -> set[str]:
    kind = "undeclared-input:"
    return {name.removeprefix(kind) for name in finding_ids(run) if name.startswith(kind)}


def test_everything_read_undeclared_is_named_and_nothing_else(reading: Project) -> None:
    """In the process from its first line, in forked and started Pythons; the result is kept, the promise is not."""
    declared = "hydra.callbacks.repro.data.datasets={d: data/declared}"
    done = reading.run("+repro=strict", declared, fed="data/stdin").ok()
    run = reading.only_run()
    assert undeclared(run) == UNDECLARED
    record, data = load(run, "run"), load(run, "data")
    assert (record["status"], record["upheld"]) == ("completed", "no")
    assert load(run, "result") == {"objective": 1.0}
    inputs = {item["path"]: item for item in data["inputs"]}
    assert set(inputs) == UNDECLARED | {"data/run/.hydra/config.yaml"}
    assert data["inputs_total"] == len(inputs)
    program = inputs["data/program"]
    assert (program["digest"], program["size_bytes"]) == (blake3.blake3(b"program").hexdigest(), 7)
    images = inputs["data/images"]
    assert (images["kind"], images["files"], len(images["digest"])) == ("directory", 75, 64)
    assert inputs["data/later.txt"]["digest"] is None
    assert "data-changed-meanwhile:data/later.txt" in finding_ids(run)
    assert "data-changed-meanwhile:schedule.txt" in finding_ids(run)
    assert "input-of-a-run:data/run/.hydra/config.yaml" in finding_ids(run)
    assert "system-entropy:/dev/urandom" in finding_ids(run)
    assert {name for name in finding_ids(run) if "config" in name} >= {"config-not-fixed:layers.count"}
    assert "config-not-fixed:layers.same" not in finding_ids(run)

    coverage = data["coverage"]
    assert any("interpreter's start" in line for line in coverage["watched"])
    assert any("forked" in line for line in coverage["watched"])
    unseen = coverage["not_watched"]
    assert [line for line in unseen if line.startswith("other programs: cat")]
    assert [line for line in unseen if line.startswith("log.txt: whether what it held was read")]
    (copied,) = [line for line in unseen if line.startswith("environment variables")]
    assert "train.py:" in copied
    assert [line for line in unseen if "the clock" in line]
    roles = {process["role"] for process in record["processes"]}
    assert roles == {"main", "forked", "python"}
    assert len({process["pid"] for process in record["processes"]}) == len(record["processes"])
    assert not (run / ".repro" / "reads").exists()

    # The line that it offers is one that works.
    offered = [line for line in done.text.splitlines() if "[undeclared-input:data/program]" in line]
    assert len(offered) == 1
    waive = offered[0].partition("or waive it: ")[2]
    declare = offered[0].partition("Declare it: ")[2].partition(", or ")[0]
    reading.run("+repro=strict", *shlex.split(waive)).ok()
    assert "data/program" in load(reading.runs()[-1], "run")["waived"].__str__()
    reading.run("+repro=strict", *shlex.split(declare)).ok()
    assert "data/program" not in undeclared(reading.runs()[-1])


def test_a_waived_folder_waives_what_lies_in_it(reading: Project) -> None:
    reading.run(
        "+repro=strict", r"hydra.callbacks.repro.allow={undeclared-input\:data: all of it is known}"
    ).ok()
    record = load(reading.only_run(), "run")
    assert all(f["waived"] for f in record["findings"] if f["id"].startswith("undeclared-input:data"))


def test_jobs_of_a_sweep_name_them_too(reading: Project) -> None:
    """Also what the script's top level read, in each job's own process."""
    reading.run("-m", "+repro=standard", "seed=1,2").ok()
    for run in reading.runs():
        assert {"data/top.txt", "data/spawn", "data/fork"} <= undeclared(run)
        assert load(run, "run")["upheld"] == "not_promised"


CLEAN = """\
import logging, os, pathlib, subprocess, tempfile

import hydra
import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig
from sklearn.datasets import load_iris

import part.helper


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    images, labels = load_iris(return_X_y=True)
    out = pathlib.Path(HydraConfig.get().runtime.output_dir)
    pathlib.Path("checkpoints").mkdir(exist_ok=True)
    for folder in (out, pathlib.Path("checkpoints")):
        torch.save({"a": torch.ones(3)}, str(folder / "best.pt"))
        torch.load(str(folder / "best.pt"), weights_only=True)
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/a.npy", np.ones(3))
        os.rename(f"{folder}/a.npy", f"{folder}/b.npy")
        np.load(f"{folder}/b.npy")
        subprocess.run(["sh", "-c", f"echo 1 > {folder}/by_a_program"], check=True)
        open(f"{folder}/by_a_program").read()
    scratch = np.memmap("scratch.bin", dtype="float32", mode="w+", shape=(10,))
    np.memmap("scratch.bin", dtype="float32", mode="r")
    with open("log.txt", "a+") as log:
        log.write("one more run")
    data = torch.utils.data.TensorDataset(torch.tensor(images), torch.tensor(labels))
    for _ in torch.utils.data.DataLoader(data, 50, num_workers=1):
        pass
    pathlib.Path("conf/other.json").read_text()
    pathlib.Path(".env").read_text()
    subprocess.run(["git", "status"], check=True, stdout=subprocess.DEVNULL)
    return part.helper.VALUE


if __name__ == "__main__":
    main()
"""


def test_a_clean_run_raises_no_alarm(project: Project) -> None:
    """Though an earlier one left checkpoints, logs and scratch files where it writes its own."""
    project.write("train.py", CLEAN)
    project.write("part/helper.py", "VALUE = 1.0\n")
    project.write("conf/config.yaml", "seed: 1\n")
    project.write("conf/other.json", "{}")
    project.write(".gitignore", "outputs/\n__pycache__/\ncheckpoints/\nlog.txt\nscratch.bin\n.env\n")
    project.commit()
    for left in (".env", "checkpoints/best.pt", "log.txt", "scratch.bin", "outputs/old/.hydra/config.yaml"):
        project.write(left, "A=1\n")
    project.run("+repro=strict").ok()
    run = project.only_run()
    assert load(run, "data")["inputs"] == []
    assert load(run, "run")["upheld"] == "yes", load(run, "run")["findings"]


def test_record_mode_watches_nothing_and_says_so(project: Project) -> None:
    project.holding(
        "import hydra\n@hydra.main(version_base=None, config_path='conf', config_name='config')\n"
        "def main(cfg):\n    return len(open('data.txt').read())\nmain()\n"
    )
    project.write("data.txt", "12")
    project.write(".git/info/exclude", "data.txt\n")
    project.run("+repro=record").ok()
    data = load(project.only_run(), "data")
    assert data["inputs"] == []
    assert data["coverage"]["not_watched"]


def test_code_that_changes_under_a_run_is_noticed(project: Project) -> None:
    """The snapshot has the path, but not what the job read: by content, so a mere `touch` is nothing."""
    project.holding(
        "import subprocess, sys, hydra\nfrom pathlib import Path\n"
        "@hydra.main(version_base=None, config_path='conf', config_name='config')\n"
        "def main(cfg):\n"
        "    subprocess.run(['touch', 'same.txt'], check=True)\n"
        "    subprocess.run(['sh', '-c', 'echo other > changed.txt'], check=True)\n"
        "    return len(Path('same.txt').read_text() + Path('changed.txt').read_text())\n"
        "main()\n",
        **{"same.txt": "same", "changed.txt": "before"},
    )
    project.run("+repro=strict").ok()
    changed = {name for name in finding_ids(project.only_run()) if name.startswith("data-changed-meanwhile")}
    assert changed == {"data-changed-meanwhile:changed.txt"}


def test_code_that_is_edited_while_the_run_starts_is_noticed(project: Project) -> None:
    """The old module was imported, and the new one is in the snapshot: no record holds what ran."""
    project.holding(
        "import subprocess, hydra, helper\n"
        "if helper.VALUE == 1:\n"
        "    subprocess.run(['sh', '-c', 'echo VALUE = 22 > helper.py'], check=True)\n"
        "@hydra.main(version_base=None, config_path='conf', config_name='config')\n"
        "def main(cfg):\n    return helper.VALUE\nmain()\n",
        **{"helper.py": "VALUE = 1\n"},
    )
    project.run(program=("-m", "repro_hydra", "run", "--", sys.executable, "train.py", "+repro=strict")).ok()
    run = project.only_run()
    assert load(run, "result") == {"objective": 1}
    assert "VALUE = 22" in (run / ".repro/code.patch").read_text()
    assert "data-changed-meanwhile:helper.py" in finding_ids(run)
    assert load(run, "run")["upheld"] == "no"


def test_a_reproduction_has_them_and_a_change_is_told(project: Project) -> None:
    """A file that no config names is brought along; one that changed is named by `verify` and as a cause."""
    project.holding(
        "import hydra\n@hydra.main(version_base=None, config_path='conf', config_name='config')\n"
        "def main(cfg):\n    return len(open('data.txt').read())\nmain()\n",
    )
    project.write(".gitignore", "outputs/\nreproductions/\ndata.txt\n")
    project.commit()
    data = project.write("data.txt", "12")
    project.run("+repro=standard").ok()
    run = str(project.only_run())
    cli = ("-m", "repro_hydra")
    same = project.run("reproduce", run, "--json", program=cli).ok()
    assert json.loads(same.out)["verdict"] == "BITWISE"
    project.run("verify", run, program=cli).ok()
    data.write_text("123")
    assert "data.txt: recorded" in project.run("verify", run, program=cli).out
    other = json.loads(project.run("reproduce", run, "--json", program=cli).out)
    assert other["verdict"] == "DIVERGED"
    assert ["data", True] in [[cause["area"], "data.txt" in cause["detail"]] for cause in other["causes"]]
