"""Something was changed or is gone: the right verdict, and the cause named first."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from doors_project import load
from laboratory import SCRIPT, Laboratory, edit, laboratory_in

from repro_hydra.record.manifest import write_manifest
from repro_hydra.record.paths import RunPaths


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    """A project with one run, of code that is not committed; what a test spoils is a copy of the run."""
    return with_a_run(laboratory_in(tmp_path_factory.mktemp("lab")))


@pytest.fixture
def run(shared: Laboratory, tmp_path: Path) -> Path:
    (original,) = shared.top.glob("outputs/*/*")
    return shutil.copytree(original, tmp_path / "run")


def with_a_run(lab: Laboratory) -> Laboratory:
    lab.holding(SCRIPT)
    lab.write("train.py", SCRIPT + "# not committed\n")
    lab.original()
    return lab


def record(run: Path, name: str) -> Path:
    return run / ".repro" / name


def strangers(lab: Laboratory) -> dict[str, str]:
    """The environment of another user, who has no key that made the record."""
    return {"XDG_STATE_HOME": str(Path(lab.environment["HOME"]) / "another")}


def drop_snapshots(lab: Laboratory) -> None:
    lab.git("checkout", "-q", "--", ".")
    shutil.rmtree(lab.top / ".git" / "refs" / "repro")
    lab.git("gc", "-q", "--prune=now")


def test_a_hand_edited_result(shared: Laboratory, run: Path) -> None:
    edit(record(run, "result.json"), accuracy=0.99)
    document = shared.reproduce(run)
    assert document["verdict"] == "DIVERGED"
    assert document["causes"][0]["area"] == "record"
    assert "result.json" in document["causes"][0]["detail"]
    (row,) = [row for row in document["metrics"] if row["name"] == "accuracy"]
    assert not row["within"]
    assert row["abs_error"] > 0
    assert shared.repro("verify", str(run)).code == 1


def test_a_small_difference_is_within_a_tolerance_that_allows_it(shared: Laboratory, run: Path) -> None:
    result = load(run, "result")
    edit(record(run, "result.json"), accuracy=result["accuracy"] * (1 + 1e-7))
    assert shared.reproduce(run)["verdict"] == "WITHIN_TOLERANCE"
    assert shared.reproduce(run, "--rtol", "1e-9", "--atol", "0")["verdict"] == "DIVERGED"


def test_a_dropped_snapshot_with_its_patch_and_without(lab: Laboratory) -> None:
    """What vouched for a stranger's record is gone too."""
    run = with_a_run(lab).only_run()
    lab.bitwise(run, **strangers(lab))
    drop_snapshots(lab)
    lab.repro("reproduce", str(run), **strangers(lab)).refused(2, "train.py", "--yes")
    lab.bitwise(run)
    record(run, "code.bundle").unlink()
    lab.bitwise(run)
    record(run, "code.patch").unlink()
    document = lab.reproduce(run)
    assert document["verdict"] == "IMPOSSIBLE"
    assert document["causes"][0]["area"] == "code"
    assert document["reproduction"] is None


def test_a_missing_repository(lab: Laboratory, tmp_path: Path) -> None:
    """Everything that is missing is named at once."""
    run = with_a_run(lab).only_run()
    copied = lab.moved_away(run, tmp_path / "copied")
    record(copied, "config.json").unlink()
    record(copied, "code.bundle").unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.rmtree(lab.top)
    document = json.loads(lab.repro("reproduce", str(copied), "--json", cwd=elsewhere).out)
    assert document["verdict"] == "IMPOSSIBLE"
    assert [cause["area"] for cause in document["causes"]] == ["record", "code"]


@pytest.mark.parametrize("name", ["run.json", "config.json", "code.json"])
def test_a_truncated_record(shared: Laboratory, run: Path, name: str) -> None:
    file = record(run, name)
    file.write_bytes(file.read_bytes()[:60])
    document = shared.reproduce(run)
    assert document["verdict"] == "IMPOSSIBLE"
    assert document["causes"][0]["area"] == "record"
    assert name in document["missing"][0]


def test_a_seed_that_was_never_set(lab: Laboratory) -> None:
    lab.holding(SCRIPT)
    lab.run("+repro=record").ok()
    document = lab.reproduce(lab.only_run())
    assert document["verdict"] == "DIVERGED"
    assert document["causes"][0]["area"] == "seed"


def test_another_package_version(lab: Laboratory, tmp_path: Path) -> None:
    """The package is one of the environment's, and the result depends on its version."""

    def install(version: str) -> None:
        info = tmp_path / "site" / f"dependency-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: dependency\nVersion: {version}\n")
        (tmp_path / "site" / "dependency.py").write_text(f"VALUE = {version}\n")

    lab.holding(SCRIPT.replace("return {", "import dependency\n    return {'d': dependency.VALUE, "))
    site = str(tmp_path / "site")
    install("1.0")
    run = lab.original(PYTHONPATH=site)
    shutil.rmtree(tmp_path / "site")
    install("2.0")
    document = lab.reproduce(run, PYTHONPATH=site)
    assert document["verdict"] == "DIVERGED"
    assert document["causes"][0]["area"] == "environment"
    assert "dependency: 1.0 in the original, 2.0 now" in document["causes"][0]["detail"]
    shutil.rmtree(tmp_path / "site")
    document = lab.reproduce(run)
    assert document["verdict"] == "IMPOSSIBLE"
    assert document["causes"][0]["area"] == "environment"
    assert "--env rebuild" in document["missing"][0]


def test_another_python(lab: Laboratory) -> None:
    """The interpreter is named before what follows from it, and one that is not here before anything is made."""
    lab.holding("import os\nimport hydra\n\n\n@hydra.main(version_base=None)\ndef main(cfg):\n"
                "    return float(os.environ.get('SHIFT', '0'))\n\n\nmain()\n")  # fmt: skip
    run = lab.original()
    file = record(run, "environment.json")
    environment = json.loads(file.read_text())
    environment["interpreter"]["version"] = "3.5.10"
    file.write_text(json.dumps(environment))
    write_manifest(RunPaths(run))
    document = lab.reproduce(run, SHIFT="1")
    assert document["verdict"] == "DIVERGED"
    assert document["causes"][0]["area"] == "environment"
    assert document["causes"][0]["detail"].startswith("python: 3.5.10 in the original")
    bare = [folder for folder in os.environ["PATH"].split(os.pathsep) if not Path(folder, "uv").exists()]
    document = lab.reproduce(run, "--env", "rebuild", PATH=os.pathsep.join(bare))
    assert document["verdict"] == "IMPOSSIBLE"
    assert document["causes"][0]["area"] == "environment"
    assert "Python 3.5: recorded, and not on the PATH" in document["missing"][0]


def test_a_data_byte_that_was_flipped(lab: Laboratory) -> None:
    script = SCRIPT.replace("    out =", "    weights += Path(cfg.data).read_bytes()[0]\n    out =")
    lab.holding(script, "seed: 1\nlr: 0.1\ndata: data/x.bin\n")
    lab.write(".gitignore", "outputs/\ndata/\n")
    lab.commit()
    lab.write("data/x.bin", "abc")
    run = lab.original()
    lab.write("data/x.bin", "bbc")
    document = lab.reproduce(run)
    assert document["verdict"] == "DIVERGED"
    assert document["causes"][0]["area"] == "data"
    (lab.top / "data" / "x.bin").unlink()
    document = lab.reproduce(run)
    assert document["verdict"] == "IMPOSSIBLE"
    assert document["causes"][0]["area"] == "data"


def test_nothing_to_compare_is_impossible(lab: Laboratory) -> None:
    lab.holding("import hydra\n\n\n@hydra.main(version_base=None)\ndef main(cfg):\n    pass\n\n\nmain()\n")
    document = lab.reproduce(lab.original())
    assert document["verdict"] == "IMPOSSIBLE"
    assert document["compared"]["metrics"] == document["compared"]["files"] == 0


def test_a_training_that_parts_and_ends_with_the_same_numbers_is_not_bitwise(lab: Laboratory) -> None:
    """Its results are too coarse to show it: what the steps consisted of does, and where it began to differ."""
    lab.holding(
        "import os\nimport hydra\nimport numpy as np\nimport repro_hydra\n\n\n"
        "@hydra.main(version_base=None, config_path='conf', config_name='config')\n"
        "def main(cfg):\n    weights = np.zeros(3)\n    for step in range(5):\n"
        "        weights += float(os.environ.get('SHIFT', '0')) * (step == 3)\n"
        "        repro_hydra.fingerprint('weights', weights)\n    return {'accuracy': 0.5}\n\n\nmain()\n"
    )
    run = lab.original()
    assert lab.bitwise(run)["compared"]["fingerprint_steps"] == 5
    document = lab.reproduce(run, SHIFT="1e-9")
    assert document["verdict"] == "WITHIN_TOLERANCE"
    assert [row["equal_bits"] for row in document["metrics"]] == [True]
    told = {cause["area"]: cause["detail"] for cause in document["causes"]}
    assert "first part at 'weights' (number 3): another value (5 compared)" in told["fingerprints"]
    (run / ".repro/fingerprints.jsonl").write_text(
        '{"step": "hostile"}\n'
    )  # is a record's, and no reason to fail
    damaged = lab.reproduce(run, "--yes")
    assert (damaged["verdict"], damaged["compared"]["fingerprint_steps"]) == ("BITWISE", 0)


def test_one_more_seed_of_the_sweep_is_consistent(lab: Laboratory) -> None:
    """Five seeds make an interval; a run that is not seeded lies in it, or is said to diverge."""
    lab.holding(
        "import os\nimport hydra\n\n\n@hydra.main(version_base=None, config_path='conf', config_name='config')\n"
        "def main(cfg):\n    return cfg.seed + float(os.environ.get('SHIFT', '0'))\n\n\nmain()\n"
    )
    lab.run("-m", "+repro=standard", "seed=range(5)").ok()
    job = lab.sweep() / "2"
    assert lab.reproduce(job, SHIFT="0.5")["verdict"] == "CONSISTENT"
    assert lab.reproduce(job, SHIFT="50")["verdict"] == "DIVERGED"


# --- records from strangers ------------------------------------------------------------------------------


def test_a_record_that_was_changed_is_asked_about(shared: Laboratory, run: Path, tmp_path: Path) -> None:
    """The command is shown; without a terminal nothing is run. ``--yes`` runs it."""
    edit(record(run, "run.json"), argv=["train.py", "+repro=strict", "seed=8"])
    ended = shared.repro("reproduce", str(run), "--output", str(tmp_path / "new")).refused(
        2, "seed=8", "--yes", "changed since"
    )
    assert ended.out == ""
    assert not (tmp_path / "new").exists()
    assert shared.repro("reproduce", str(run), "--yes").code in (0, 1)


HOSTILE: list[dict[str, Any]] = [
    {"entry": {"kind": "script", "target": "/tmp/../etc/passwd; touch {mark}", "cwd": "/"}},
    {"entry": {"kind": "module", "target": "os; touch {mark}", "cwd": "/"}},
    {"entry": {"kind": "script", "target": "$(touch {mark})", "cwd": "/"}},
    {"argv": ["train.py", "+repro=strict", "; touch {mark}", "$(touch {mark})", "`touch {mark}`"]},
    {"cwd": "/; touch {mark}"},
]


@pytest.mark.parametrize("fields", HOSTILE, ids="-".join)
def test_commands_in_recorded_fields_do_nothing(
    shared: Laboratory, run: Path, fields: dict[str, Any], tmp_path: Path
) -> None:
    """Even when it is confirmed, no shell ever sees what a record says."""
    mark = tmp_path / "mark"
    edit(record(run, "run.json"), **json.loads(json.dumps(fields).replace("{mark}", str(mark))))
    shared.repro("reproduce", str(run), "--yes")
    assert not mark.exists()
    assert shared.scratch_left() == []


@pytest.mark.parametrize("field", ["commit", "snapshot"])
def test_an_option_in_place_of_a_commit_never_reaches_git(shared: Laboratory, run: Path, field: str) -> None:
    edit(record(run, "code.json"), **{field: "--upload-pack=touch mark"})
    document = shared.reproduce(run, "--yes")
    assert document["verdict"] == "IMPOSSIBLE"
    assert "expected an object id" in document["missing"][0]


def test_paths_that_lead_out_of_the_record_are_not_opened(
    shared: Laboratory, run: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"schema": "1.0", "stolen": 1}')
    manifest = load(run, "manifest")
    entry = {"path": "../../../../secret.json", "blake3": "0" * 64, "size_bytes": 1}
    edit(record(run, "manifest.json"), files=[*manifest["files"], entry])
    record(run, "result.json").unlink()
    record(run, "result.json").symlink_to(secret)
    ended = shared.repro("verify", str(run), "--json")
    assert ended.code == 1
    told = "\n".join(item["message"] for item in json.loads(ended.out)["findings"])
    assert "leads out of" in told
    assert "it was not followed" in told
    assert "stolen" not in ended.text


def test_a_pickle_in_a_checkpoint_is_not_loaded(tmp_path: Path) -> None:
    """`torch.load` without `weights_only`, and NumPy with pickles, would run what the file says."""
    import pickle

    from repro_hydra.reproduce.weights import CannotLoad, load_tensors

    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "mark",))

    for name in ("model.pt", "array.npy"):
        (tmp_path / name).write_bytes(pickle.dumps({"w": Evil()}))
        with pytest.raises(CannotLoad):
            load_tensors(tmp_path / name)
    assert not (tmp_path / "mark").exists()


def test_an_interrupted_reproduction_leaves_nothing(lab: Laboratory) -> None:
    """Ctrl-C while the job runs: the scratch folder is gone and the job is ended."""
    import signal
    import subprocess

    script = SCRIPT.replace(
        "    out =",
        "    import os, sys, time\n    if os.environ.get('WAIT'):\n        "
        "print('waiting', flush=True)\n        time.sleep(60)\n    out =",
    )
    lab.holding(script)
    run = lab.original()
    process = subprocess.Popen(
        [sys.executable, "-m", "repro_hydra", "reproduce", str(run)],
        cwd=lab.top,
        env=lab.environment | {"WAIT": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "waiting" in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err.replace("repro: ", "") or "KeyboardInterrupt" in err
    assert lab.scratch_left() == []
