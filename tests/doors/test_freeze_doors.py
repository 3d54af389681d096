"""A sweep is frozen: what is edited while it runs is for the next one, and what its jobs write is the user's."""

from __future__ import annotations

from pathlib import Path

import pytest
from doors_project import Project, finding_ids, load, result

SCRIPT = """\
import os
import sys
from pathlib import Path

import hydra
from hydra import compose
from pkg.model import SIZE

VERSION = "old"
HERE = Path(__file__).parent


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    if cfg.seed == 0:  # the user, while the sweep runs
        top = Path.cwd()
        for path in ("train.py", "pkg/model.py", "conf/group/a.yaml", "conf/config.yaml", "vocabulary.txt"):
            (top / path).write_text((top / path).read_text().replace("old", "new").replace("1", "7"))
        (top / "pkg/late.py").unlink()
        (top / "pkg/new.py").write_text("")
        Path(__file__).write_text("raise SystemExit('by its own name')")
    sys.path.insert(0, os.getcwd())  # as many scripts do
    from pkg import late

    try:
        import pkg.new
    except ImportError:
        new = False
    else:
        new = True
    with open("log.txt", "a") as log:
        log.write(f"{cfg.seed}\\n")
    (HERE / "made").mkdir(exist_ok=True)
    (HERE / "made" / f"{cfg.seed}.txt").write_text("")
    (HERE / "data" / f"{cfg.seed}.out").write_text("")
    if cfg.seed == 2:
        raise ValueError(f"in {__file__}")
    return {
        "version": VERSION == "old",
        "size": SIZE,
        "late": late.N,
        "new": new,
        "group": cfg.group.name == "old",
        "top": cfg.top,
        "vocabulary": (HERE / "vocabulary.txt").read_text() == "old",
        "input": (HERE / "data/in.txt").read_text() == Path("data/in.txt").read_text(),
        "later": compose("config", []).top,
        "git": (HERE / ".git").is_dir(),
        "home": os.getcwd() == cfg.home,
        "by_hand": Path("vocabulary.txt").read_text() == "old" if cfg.seed == 3 and cfg.by_hand else True,
    }


if __name__ == "__main__":
    main()
"""
BY_ITS_NAME = """Path(__file__).write_text("raise SystemExit('by its own name')")"""
CONFIG = "defaults:\n  - group: a\n  - _self_\nseed: 3\ntop: 1\nhome: null\nby_hand: false\n"
FILES = {
    "pkg/__init__.py": "",
    "pkg/model.py": "SIZE = 1\n",
    "pkg/late.py": "N = 5\n",
    "conf/group/a.yaml": "name: old\n",
    "vocabulary.txt": "old",
}
BATCHES = ["hydra.sweeper.max_batch_size=1", "hydra/launcher=repro", "hydra.launcher.start=fresh"]


@pytest.fixture
def edited(project: Project) -> Project:
    """A project whose first job edits everything in it."""
    project.environment = project.environment | {"XDG_CACHE_HOME": str(project.top.parent / "cache")}
    project.holding(SCRIPT, CONFIG, **FILES)
    with (project.top / ".gitignore").open("a") as ignored:
        ignored.write("data/\n")
    project.write("data/in.txt", "input")
    return project.commit()


def copies(project: Project) -> list[Path]:
    return list((project.top.parent / "cache" / "repro-hydra" / "frozen").iterdir())


@pytest.mark.parametrize(
    "launcher",
    [[], BATCHES, ["hydra/launcher=joblib", "hydra.launcher.n_jobs=1"]],
    ids=["basic", "batches-fresh", "joblib"],
)
def test_what_is_edited_meanwhile_is_for_the_next_sweep(edited: Project, launcher: list[str]) -> None:
    """Every job runs the code and the configs that the sweep began with, wherever they are read from."""
    home = f"home={edited.top}"
    edited.run("+repro=strict", "seed=3", home).ok()
    alone = edited.only_run()
    for made in ("log.txt", "made/3.txt", "data/3.out"):
        (edited.top / made).unlink()
    (edited.top / "made").rmdir()

    ended = edited.run("-m", "+repro=strict", *launcher, "seed=0,3,2", home)
    assert "ValueError" in ended.text
    sweep = edited.sweep()
    assert [job["status"] for job in load(sweep, "sweep")["jobs"]] == ["completed", "completed", "failed"]
    as_alone = result(alone)
    assert result(sweep / "0") == result(sweep / "1") == as_alone
    assert all(value is True for name, value in as_alone.items() if isinstance(value, bool) and name != "new")

    # The record and the messages name the user's own files.
    error = load(sweep / "2", "run")["error"]
    assert f'"{edited.top}/train.py"' in error["traceback"]
    assert error["message"] == f"in {edited.top}/train.py"
    assert "/frozen/" not in "".join(file.read_text() for file in (sweep / "2/.repro").glob("*.json"))
    assert load(sweep / "2", "config")["config_dirs"] == load(alone, "config")["config_dirs"]
    assert load(sweep / "2", "code")["tree"] == load(alone, "code")["tree"]

    inputs = {entry["path"] for entry in load(sweep / "1", "data")["inputs"]}
    assert inputs == {entry["path"] for entry in load(alone, "data")["inputs"]} == {"data/in.txt"}

    # What the jobs wrote lies where it would without a copy, and the copy is gone.
    assert (edited.top / "log.txt").read_text() == "0\n3\n2\n"
    assert sorted(path.name for path in (edited.top / "made").iterdir()) == ["0.txt", "2.txt", "3.txt"]
    assert {"0.out", "2.out", "3.out"} < {path.name for path in (edited.top / "data").iterdir()}
    assert (edited.top / "pkg/model.py").read_text() == "SIZE = 7\n"
    assert "new" in (edited.top / "train.py").read_text()
    assert "by its own name" in (sweep / ".repro/left/written/train.py").read_text()
    assert copies(edited) == []


def test_a_file_that_is_read_by_a_relative_path_is_the_users_own(edited: Project) -> None:
    """The working directory is not frozen: what was edited there is read as it is, and named as held nowhere."""
    ended = edited.run("-m", "+repro=strict", "seed=0,3", f"home={edited.top}", "by_hand=true").ok()
    job = edited.sweep() / "1"
    assert result(job)["by_hand"] is False
    assert "undeclared-input:vocabulary.txt" in finding_ids(job)
    assert load(job, "run")["upheld"] == "no", ended.text


def test_in_place_a_change_fails_the_jobs_after_it(edited: Project) -> None:
    """With ``code.freeze=off`` the jobs after a change are not begun, by the name of each file, in standard too."""
    sweep = ["-m", "hydra.callbacks.repro.code.freeze=off", "seed=0,3"]
    ended = edited.run(*sweep, "+repro=strict")
    assert "[code-changed-meanwhile:train.py]" in ended.text
    assert "the script did not reach its task" in ended.text
    edited.git("checkout", "-q", ".")
    script = SCRIPT.replace(BY_ITS_NAME, "pass")
    edited.write("train.py", script)
    edited.commit()
    for mode in ("strict", "standard"):
        edited.git("clean", "-fdxq", "-e", "data")
        ended = edited.run(*sweep, f"+repro={mode}")
        assert ended.code == 1, ended.text
        job = edited.sweep() / "1"
        expected = {
            f"code-changed-meanwhile:{path}"
            for path in ("train.py", "pkg/model.py", "pkg/late.py", "conf/group/a.yaml", "conf/config.yaml")
        }
        assert expected < finding_ids(job)
        assert load(job, "run")["status"] == "failed"
        assert "the task was not begun" in load(job, "run")["error"]["message"]
        edited.git("checkout", "-q", ".")
    # A file that was only touched is no reason.
    edited.write(
        "train.py", script.replace("if cfg.seed == 0:", "if cfg.seed == 0 and os.utime('train.py'):")
    )
    edited.commit()
    edited.run(*sweep, "+repro=strict").ok()


def test_a_copy_that_cannot_be_made(edited: Project) -> None:
    """Strict does not begin without the copy; standard says so, and runs in place under watch."""
    inside = f"hydra.callbacks.repro.code.freeze_dir={edited.top / 'here'}"
    before = edited.files()
    edited.run("-m", "+repro=strict", inside, "seed=1,3").refused(1, "sweep-not-frozen", "code.freeze_dir")
    assert edited.files() == before
    ended = edited.run("-m", "+repro=standard", inside, "seed=1,3").ok()
    assert "sweep-not-frozen" in ended.text
    assert "sweep-not-frozen" in {finding["id"] for finding in load(edited.sweep(), "sweep")["findings"]}
