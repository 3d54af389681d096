"""Runs of every kind, reproduced after the project was changed, moved or cloned anew: the same bits."""

from __future__ import annotations

import json
import shutil
import sysconfig
import venv
from pathlib import Path

import pytest
from doors_project import load
from laboratory import SCRIPT, Laboratory

EDITED = "seed: 99\nlr: 7.0\n"


def edited_since(lab: Laboratory) -> None:
    """The project moves on: script and config are changed, and committed."""
    lab.write("train.py", SCRIPT.replace("cfg.lr", "cfg.lr + 1"))
    lab.write("conf/config.yaml", EDITED)
    lab.write("conf/rate/low.yaml", "# @package _global_\nlr: 8.0\n")
    lab.commit()


def test_a_run_after_its_project_moved_on(lab: Laboratory) -> None:
    """Code, defaults and a config group were changed and committed since; the document and the new record say all."""
    lab.holding(SCRIPT, **{"conf/rate/low.yaml": "# @package _global_\nlr: 0.01\n"})
    run = lab.original("+rate=low", "seed=3")
    edited_since(lab)
    document = lab.bitwise(run)
    assert document["compared"]["metrics"] == 3
    assert document["compared"]["logged_values"] == 3
    assert document["compared"]["files"] == 1
    assert document["compared"]["tensors"] == 1
    assert document["causes"] == []
    assert [row["name"] for row in document["metrics"]] == ["accuracy", "python", "hash"]
    assert all(row["equal_bits"] and row["within"] for row in document["metrics"])
    again = Path(document["reproduction"])
    assert load(again, "run")["parent_run_id"] == load(run, "run")["run_id"]
    assert load(again, "run")["argv"] == load(run, "run")["argv"]
    assert load(again, "reproduction")["verdict"] == "BITWISE"
    assert load(again, "code")["tree"] == load(run, "code")["tree"]
    assert load(again, "config")["resolved"] == load(run, "config")["resolved"]


def test_uncommitted_and_untracked_code_and_a_reproduction_of_the_reproduction(lab: Laboratory) -> None:
    """What was never committed comes from the snapshot, and is reverted in the user's work tree by now."""
    lab.holding(SCRIPT)
    lab.write(
        "train.py",
        SCRIPT.replace("* cfg.lr", "* helper.FACTOR").replace("import hydra", "import helper\nimport hydra"),
    )
    lab.write("helper.py", "FACTOR = 0.25\n")
    run = lab.original()
    lab.git("checkout", "-q", "--", ".")
    (lab.top / "helper.py").unlink()
    again = Path(lab.bitwise(run)["reproduction"])
    assert load(again, "code")["dirty"] is True
    document = lab.bitwise(again)  # the new record is as complete as the first
    assert load(Path(document["reproduction"]), "run")["parent_run_id"] == load(again, "run")["run_id"]


def test_a_whole_sweep_a_job_of_it_and_one_that_was_copied(lab: Laboratory, tmp_path: Path) -> None:
    """A sweep gives the verdict of each and of all; a job is run alone, also where only its folder was copied.

    The patch of what was not committed lies beside the sweep; the snapshot in the repository has it all.
    """
    lab.holding(SCRIPT)
    lab.write("train.py", SCRIPT + "# not committed\n")
    lab.run("-m", "+repro=strict", "seed=1,2", "lr=0.5").ok()
    edited_since(lab)
    sweep = lab.sweep()
    whole = lab.bitwise(sweep, "--jobs", "2")
    assert [item["verdict"] for item in whole["jobs"]] == ["BITWISE"] * 2
    assert whole["compared"]["metrics"] == 6
    job = lab.moved_away(sweep / "1", tmp_path / "copied")
    document = lab.bitwise(job)
    assert load(Path(document["reproduction"]), "run")["seed"] == 2


def test_a_failed_run(lab: Laboratory) -> None:
    """It must fail in the same way, after the same steps."""
    lab.holding(
        SCRIPT.replace("    return", "    raise ValueError(f'no convergence: {weights.sum()}')\n    return")
    )
    assert lab.run("+repro=strict").code == 1
    edited_since(lab)
    document = lab.bitwise(lab.only_run())
    assert document["compared"]["errors"] == 1
    assert document["compared"]["logged_values"] == 3


def test_a_run_directory_elsewhere_and_a_new_clone(lab: Laboratory, tmp_path: Path) -> None:
    """The repository was cloned anew (no snapshot comes with a clone) and the first is gone: commit and patch do it."""
    lab.holding(SCRIPT)
    lab.write("train.py", SCRIPT.replace("* cfg.lr", "* 0.75"))
    lab.write("notes.txt", "a new file\n")
    run = lab.moved_away(lab.original(), tmp_path / "copied")
    clone = tmp_path / "clone"
    lab.git("clone", "-q", str(lab.top), str(clone))
    shutil.rmtree(lab.top)
    document = lab.bitwise(run, cwd=clone)
    assert Path(document["reproduction"]).is_relative_to(clone / "reproductions")


def test_a_repository_that_was_moved(lab: Laboratory, tmp_path: Path) -> None:
    """Everything lies at another path now, outputs included."""
    lab.holding(SCRIPT)
    run = lab.original()
    moved = tmp_path / "moved"
    lab.top.rename(moved)
    lab.bitwise(moved / run.relative_to(lab.top), cwd=moved)


def test_started_as_a_module(lab: Laboratory) -> None:
    """``python -m pkg.train``."""
    lab.write("pkg/__init__.py", "")
    lab.write("pkg/part.py", "FACTOR = 2.0\n")
    lab.write(
        "pkg/train.py", SCRIPT.replace("import hydra\n", "import hydra\n\nfrom pkg.part import FACTOR\n", 1)
    )
    lab.write("pkg/conf/config.yaml", "seed: 1\nlr: 0.1\n")
    lab.write(".gitignore", "outputs/\n")
    lab.commit()
    run = lab.original("seed=4", program=("-m", "pkg.train"))
    lab.write("pkg/part.py", "raise SystemExit('edited since')\n")
    lab.bitwise(run)


def test_started_by_a_console_script(lab: Laboratory, tmp_path: Path) -> None:
    """As pip writes it, of a package that is installed in place (``pip install -e .``) and was edited since."""
    venv.create(tmp_path / "venv", with_pip=False)
    (site,) = (tmp_path / "venv/lib").glob("*/site-packages")
    # The project, this checkout, and by reference the packages of the environment that the tests run in.
    paths = [lab.top / "src", Path(__file__).parents[2], sysconfig.get_path("purelib")]
    (site / "paths.pth").write_text("".join(f"{path}\n" for path in paths))
    lab.python = str(tmp_path / "venv/bin/python")
    script = tmp_path / "venv/bin/train-it"
    script.write_text(
        f"#!{lab.python}\nimport sys\nfrom pkg.train import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
    )
    script.chmod(0o755)
    lab.write("src/pkg/__init__.py", "")
    lab.write("src/pkg/train.py", SCRIPT)
    lab.write("src/pkg/conf/__init__.py", "")
    lab.write("src/pkg/conf/config.yaml", "seed: 1\nlr: 0.1\n")
    lab.write(".gitignore", "outputs/\n")
    lab.commit()
    run = lab.original("seed=4", program=(str(script),))
    assert load(run, "run")["entry"]["target"] == str(script)
    lab.write("src/pkg/train.py", "raise SystemExit('edited since')\n")
    again = Path(lab.bitwise(run)["reproduction"])
    assert load(again, "code")["tree"] == load(run, "code")["tree"]
    assert (
        load(again, "code")["others"] == []
    )  # the work tree as it is now was on the search path, and was no part


@pytest.mark.parametrize("started_in", [".", "scripts"])
def test_a_script_in_a_subfolder(lab: Laboratory, started_in: str) -> None:
    """Started from the top or from its own folder; the config lies beside it."""
    lab.write("scripts/train.py", SCRIPT)
    lab.write("scripts/conf/config.yaml", "seed: 1\nlr: 0.1\n")
    lab.write(".gitignore", "outputs/\n")
    lab.commit()
    name = "train.py" if started_in == "scripts" else "scripts/train.py"
    run = lab.original(program=(name,), cwd=lab.top / started_in)
    lab.write("scripts/conf/config.yaml", EDITED)
    lab.bitwise(run)


def test_code_in_a_src_folder_on_the_python_path(lab: Laboratory) -> None:
    """PYTHONPATH names the user's work tree, where the code has changed: the recorded code is imported."""
    lab.write("src/mylib.py", "FACTOR = 2.0\n")
    lab.write("src/late.py", "")
    lab.holding(
        SCRIPT.replace("import hydra\n", "import hydra\nimport mylib\n", 1)
        .replace("* cfg.lr", "* mylib.FACTOR")
        .replace("    return {", "    import late\n    return {")
    )
    path = str(lab.top / "src")
    run = lab.original(PYTHONPATH=path)
    lab.write("src/mylib.py", "FACTOR = 3.0\n")
    lab.write("src/late.py", "raise SystemExit('edited since')\n")
    lab.bitwise(run, PYTHONPATH=path)
    lab.bitwise(run)  # a shell that does not name it: the record does
    inside = lab.top / "outputs/tmp"  # the scratch folder may lie in the very tree that is left out
    inside.mkdir()
    lab.environment["TMPDIR"] = str(inside)
    lab.bitwise(run, PYTHONPATH=path)


def test_time_and_environment_in_the_config(lab: Laboratory) -> None:
    """``${now:}`` and ``${oc.env:}`` keep what they were; ``${hydra:…}`` follows the new run."""
    script = SCRIPT.replace(
        "return {", "assert Path(cfg.out) == out\n    return {'when': cfg.when, 'host': cfg.host, "
    )
    config = (
        "seed: 1\nlr: 0.1\nwhen: ${now:%H:%M:%S.%f}\nhost: ${oc.env:MACHINE}\nname: run-${when}-${seed}\n"
    )
    lab.holding(script, config + "out: ${hydra:runtime.output_dir}\n")
    run = lab.original(MACHINE="alpha")
    document = lab.bitwise(run, MACHINE="beta")
    resolved = load(Path(document["reproduction"]), "config")["resolved"]
    assert resolved["host"] == "alpha"
    assert resolved["when"] == load(run, "config")["resolved"]["when"]
    assert resolved["name"] == f"run-{resolved['when']}-1"
    assert resolved["out"] == document["reproduction"]


STRUCTURED = """\
import random
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Optional

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf


class Optimizer(Enum):
    sgd = 1
    adam = 2


@dataclass
class Model:
    optimizer: Optimizer = Optimizer.sgd
    folder: Path = Path("here")
    label: str = "${oc.env:LABEL,none}"
    widths: list[int] = field(default_factory=lambda: [1, 2])
    limit: float = float("inf")
    none: Optional[int] = None
    absent: str = MISSING


@dataclass
class Config:
    seed: int = 1
    model: Model = field(default_factory=Model)


ConfigStore.instance().store(name="config", node=Config)


@hydra.main(version_base=None, config_name="config")
def main(cfg):
    OmegaConf.set_readonly(cfg, True)
    model = cfg.model
    assert model.optimizer is Optimizer.adam and isinstance(model.folder, Path)
    cfg = OmegaConf.create({"m": model})
    assert OmegaConf.get_type(model) is Model
    return {"x": random.random(), "label": model.label, "limit": model.limit, "widths": list(model.widths)}


if __name__ == "__main__":
    main()
"""


def test_a_structured_config(lab: Laboratory) -> None:
    """Enums, paths, infinities and missing values are what they were, of the type that the code expects."""
    lab.write("train.py", STRUCTURED)
    lab.write(".gitignore", "outputs/\n")
    lab.commit()
    run = lab.original("model.optimizer=adam", "model.widths=[3,4,5]", LABEL="blue")
    document = lab.bitwise(run, LABEL="red")
    assert next(row for row in document["metrics"] if row["name"] == "label")["reproduced"] == "blue"
    assert next(row for row in document["metrics"] if row["name"] == "limit")["equal_bits"]


def test_config_outside_of_the_repository_that_was_edited(lab: Laboratory, tmp_path: Path) -> None:
    """No snapshot holds it, and the record does: recorded values win over what is composed now."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "model").mkdir(parents=True)
    (elsewhere / "model" / "big.yaml").write_text("# @package _global_\nlr: 0.3\nextra: {a: 1, b: [1, 2]}\n")
    lab.holding(SCRIPT)
    run = lab.original("+model=big", "--config-dir", str(elsewhere))
    (elsewhere / "model" / "big.yaml").write_text("# @package _global_\nlr: 0.9\nextra: {a: 2, c: 1}\n")
    document = lab.bitwise(run)
    assert load(Path(document["reproduction"]), "config")["resolved"]["extra"] == {"a": 1, "b": [1, 2]}


def test_data_by_a_relative_path(lab: Laboratory) -> None:
    """Data that git ignores comes from the project; what the job writes beside it does not reach the user's.

    By ``.gitignore`` or by the repository's own list, which a clone does not have: it never becomes code.
    """
    script = SCRIPT.replace(
        "    out =",
        "    weights += np.load(Path(cfg.data) / 'x.npy').sum() + np.load(cfg.own).sum()\n"
        "    (Path(cfg.data) / 'cache.bin').write_bytes(b'1')\n    out =",
    )
    lab.holding(script, "seed: 1\nlr: 0.1\ndata: data\nown: my own/[y].npy\n")
    lab.write(".gitignore", "outputs/\ndata/\n")
    lab.commit()
    import numpy as np

    for name in ("data/x.npy", "my own/[y].npy"):
        (lab.top / name).parent.mkdir()
        np.save(lab.top / name, np.arange(5.0))
    excluded = lab.write(".git/info/exclude", "my own/\n")
    run = lab.original()
    (lab.top / "data" / "cache.bin").unlink()
    for _ in ("the user's repository", "a clone"):
        code = load(Path(lab.bitwise(run)["reproduction"]), "code")
        assert (code["untracked_files"], code["dirty"], code["tree"]) == (
            [],
            False,
            load(run, "code")["tree"],
        )
        excluded.unlink(missing_ok=True)
    assert not (lab.top / "data" / "cache.bin").exists()


@pytest.mark.skipif(shutil.which("git-annex") is None, reason="git-annex is not on the PATH")
def test_data_that_git_annex_keeps_beside_the_code(lab: Laboratory) -> None:
    """A locked file is a link into git's own folder, an unlocked one a pointer in git: both are data when run again."""
    lab.holding(
        SCRIPT.replace(
            "    out =", "    weights += np.load('set/a.npy').sum() + np.load('set/b.npy').sum()\n    out ="
        )
    )
    import numpy as np

    (lab.top / "set").mkdir()
    for name in ("a", "b"):
        np.save(lab.top / "set" / f"{name}.npy", np.arange(5.0))
    for command in ("init -q here", "add -q set", "unlock -q set/b.npy"):
        lab.git("annex", *command.split())
    lab.commit()
    lab.bitwise(lab.original("hydra.callbacks.repro.data.datasets={set: set}"))


def test_a_job_that_changes_directory_with_a_result_that_is_not_finite(lab: Laboratory) -> None:
    """``hydra.job.chdir=true``, a file by a relative name; NaN equals NaN, an infinity itself, zero keeps its sign."""
    script = SCRIPT.replace("    out =", "    Path('here.txt').write_text(str(weights.sum()))\n    out =")
    lab.holding(
        script.replace("return {", "return {'a': float('nan'), 'b': float('-inf'), 'c': -0.0, 'd': None, ")
    )
    document = lab.bitwise(lab.original("hydra.job.chdir=true"))
    assert document["compared"]["files"] == 2
    assert document["compared"]["metrics"] == 7


def test_threads_of_a_standard_run_are_restored(lab: Laboratory) -> None:
    """The recorded thread count and hash seed are in force, whatever the shell has now."""
    lab.holding(
        SCRIPT.replace("return {", "import os\n    return {'threads': os.environ['OMP_NUM_THREADS'], ")
    )
    lab.run("+repro=standard", OMP_NUM_THREADS="2", PYTHONHASHSEED="7").ok()
    lab.bitwise(lab.only_run(), OMP_NUM_THREADS="4")


def test_a_secret_comes_from_the_environment(lab: Laboratory) -> None:
    """What was redacted is not in the record; it is asked for, and taken from the environment as it is now."""
    script = SCRIPT.replace(
        "return {", "assert cfg.api_key.startswith('hush')\n    assert cfg.token == 'hush2'\n    return {"
    )
    lab.holding(script, "seed: 1\nlr: 0.1\napi_key: ${oc.env:SERVICE_KEY}\n")
    run = lab.original("+token=hush2", SERVICE_KEY="hush1")
    assert (
        "hush" not in (run / ".repro" / "config.json").read_text() + (run / ".repro" / "run.json").read_text()
    )
    document = lab.reproduce(run)
    assert document["verdict"] == "IMPOSSIBLE"
    assert any("export SERVICE_KEY=" in text for text in document["missing"])
    assert any("export TOKEN=" in text for text in document["missing"])
    document = lab.bitwise(run, SERVICE_KEY="hush1", TOKEN="hush2")
    for file in Path(document["reproduction"], ".repro").rglob("*"):
        assert file.is_dir() or b"hush" not in file.read_bytes()


def test_a_script_with_a_session_of_its_own(lab: Laboratory) -> None:
    """Without Hydra: the new run has its own directory and the original as its parent."""
    lab.write(
        "alone.py",
        "import random\nimport repro_hydra\n\n"
        "with repro_hydra.session({'seed': 5}, run_dir='outputs/mine') as run:\n"
        "    run.log_result({'x': random.random()})\n",
    )
    lab.write(".gitignore", "outputs/\n")
    lab.commit()
    lab.run(program=("alone.py",)).ok()
    document = lab.bitwise(lab.only_run())
    assert json.loads(Path(document["reproduction"], ".repro", "run.json").read_text())["parent_run_id"]
