"""`repro-hydra export`: what another lab gets, checks, and runs again with nothing else but the data."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from doors_project import LIMIT_S, Ended, load
from laboratory import Laboratory, laboratory_in

pytest.importorskip("rocrate", reason="rocrate, of the extra `crate`, is not installed")

pytestmark = pytest.mark.long

USER = "adalovelace"
SCRIPT = """\
import os
import gzip
from pathlib import Path

import hydra
import numpy as np
import repro_hydra
from hydra.core.hydra_config import HydraConfig


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    data = np.loadtxt(repro_hydra.dataset(cfg.data))
    out = Path(HydraConfig.get().runtime.output_dir)
    (out / "where.txt").write_text(f"{cfg.who} ran in a folder\\n")
    (out / "binary.bin").write_bytes(b"\\0\\1" + str(cfg.who).encode())
    (out / "packed.gz").write_bytes(gzip.compress(f"by {cfg.who}".encode(), mtime=0))
    np.savez_compressed(out / "packed.npz", who=np.array([str(cfg.who)]))
    (out / "wide.txt").write_text(f"{cfg.who} ran", encoding="utf-16")
    weights = np.random.rand(4) * data.sum() * cfg.lr
    np.savez(out / "weights.npz", weights=weights)
    repro_hydra.fingerprint("weights", weights)
    return {"accuracy": float(weights.sum())}


if __name__ == "__main__":
    main()
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    """A project with a dataset that git does not hold, a remote, and a user with a name."""
    lab = laboratory_in(tmp_path_factory.mktemp("lab"))
    lab.environment |= {"USER": USER, "LOGNAME": USER}
    lab.holding(SCRIPT, "seed: 1\nlr: 0.1\ndata: data/numbers.txt\nwho: ${oc.env:USER}\n")
    lab.write(".gitignore", "outputs/\nmultirun/\nreproductions/\n__pycache__/\ndata/\n")
    lab.write("data/numbers.txt", "1 2 3\n")
    lab.git("remote", "add", "origin", f"https://example.org/{USER}/project.git")
    lab.commit()
    lab.write("notes.txt", "not committed\n")
    lab.run("-m", "+repro=strict", "seed=1,2", "hydra.sweep.subdir=${who}-${seed}").ok()
    lab.run("+repro=strict", "seed=7").ok()  # added after looking
    return lab


@pytest.fixture(scope="module")
def single(lab: Laboratory) -> Path:
    (run,) = [run for run in lab.runs() if load(run, "run")["seed"] == 7]
    return run


@pytest.fixture(scope="module")
def crate(lab: Laboratory, single: Path) -> Path:
    """The single run's export, as a file."""
    target = lab.top.parent / "crate.zip"
    lab.repro("export", str(single), "-o", str(target)).ok()
    return target


@pytest.fixture(scope="module")
def anonymous(lab: Laboratory) -> Path:
    """The sweep's export without names, as a folder."""
    target = lab.top.parent / "anonymous"
    ended = lab.repro("export", str(lab.sweep()), "-o", str(target), "--anonymous").ok()
    assert "removed: user" in ended.out
    assert "removed: remote" in ended.out
    assert "binary.bin" in ended.out
    assert USER not in ended.out.replace(str(lab.top.parent), "")
    return target


class Elsewhere:
    """Another lab's machine: no repository, no records, the data alone."""

    def __init__(self, top: Path) -> None:
        self.top = top / "work"
        (top / "home").mkdir(parents=True)
        (top / "tmp").mkdir()
        (self.top / "data").mkdir(parents=True)
        (self.top / "data/numbers.txt").write_text("1 2 3\n")
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(top / "home"),
            "TMPDIR": str(top / "tmp"),
            "LANG": "C.UTF-8",
            "USER": "grace",
            "GIT_CEILING_DIRECTORIES": str(top),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def repro(self, *arguments: str) -> Ended:
        done = subprocess.run(
            [sys.executable, "-m", "repro_hydra", *arguments],
            cwd=self.top,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=2 * LIMIT_S,
        )
        assert list(Path(self.environment["TMPDIR"]).iterdir()) == []
        return Ended(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Elsewhere:
    return Elsewhere(tmp_path / "elsewhere")


# ---------------------------------------------------------------------- run again from it


def test_a_file_and_the_data_are_enough(crate: Path, elsewhere: Elsewhere) -> None:
    """Bit for bit, in a home of its own; without `--yes` nothing of a stranger's is run."""
    elsewhere.repro("reproduce", str(crate)).refused(2, "--yes", "python train.py")
    ended = elsewhere.repro("reproduce", str(crate), "--yes", "--json")
    document = json.loads(ended.out)
    assert (ended.code, document["verdict"]) == (0, "BITWISE"), ended.text
    assert document["run"] == str(crate)
    assert document["compared"]["metrics"] == 1
    assert document["compared"]["files"] == 6
    assert document["compared"]["tensors"] == 2
    assert document["missing"] == []
    assert Path(document["reproduction"]).is_relative_to(elsewhere.top / "reproductions")


def test_other_data_is_told(crate: Path, elsewhere: Elsewhere) -> None:
    assert f" {crate}: run\n" in elsewhere.repro("verify", str(crate)).out  # not a folder that is gone
    verified = json.loads(elsewhere.repro("verify", str(crate), "--json").out)
    assert {item["area"] for item in verified["findings"] if item["severity"] == "blocks"} == set()
    (elsewhere.top / "data/numbers.txt").write_text("1 2 4\n")
    document = json.loads(elsewhere.repro("reproduce", str(crate), "--yes", "--json").out)
    assert document["verdict"] == "IMPOSSIBLE"
    assert any("numbers.txt" in text for text in document["missing"])


def test_a_sweep_without_names_is_run_again(anonymous: Path, elsewhere: Elsewhere) -> None:
    ended = elsewhere.repro("reproduce", str(anonymous), "--yes", "--json")
    document = json.loads(ended.out)
    assert document["verdict"] == "BITWISE", ended.text
    assert [row["equal_bits"] for row in document["metrics"]] == [True, True], ended.text
    assert len(document["jobs"]) == 2
    assert document["missing"] == []


# ---------------------------------------------------------------------- what it holds


def test_the_record_is_as_it_was(lab: Laboratory, single: Path, crate: Path, tmp_path: Path) -> None:
    """Without `--anonymous` nothing is rewritten: the manifest that was printed at the run's end still holds."""
    with zipfile.ZipFile(crate) as archive:
        archive.extractall(tmp_path)
    for name in ("run", "config", "manifest", "environment", "code"):
        file = Path(".repro", f"{name}.json")
        assert (tmp_path / "run" / file).read_bytes() == (single / file).read_bytes()
    (run,) = json.loads((tmp_path / "export.json").read_text())["runs"]
    assert (run["rewritten"], run["left_out"]) == ([], {})
    assert (tmp_path / "workflow/train.py").read_text() == SCRIPT
    lock = json.loads((tmp_path / "environment/repro-lock.json").read_text())
    assert lock["environment"]["distributions"]
    assert "numpy==" in (tmp_path / "environment/requirements.txt").read_text()
    assert (
        'CMD ["python", "train.py", "+repro=strict", "seed=7"]'
        in (tmp_path / "environment/Dockerfile").read_text()
    )
    (dataset,) = json.loads((tmp_path / "data/datasets.json").read_text())["datasets"]
    assert dataset["path"] == "data/numbers.txt"


def test_a_reviewer_s_questions(lab: Laboratory, anonymous: Path, crate: Path) -> None:
    """Is the code public, what did it cost, which seeds were planned, and how many were tried in all?"""
    with zipfile.ZipFile(crate) as archive:
        review = json.loads(archive.read("review.json"))
    (code,) = review["code"]
    assert code["on_remote"] is False
    assert code["dirty"] is True
    assert review["peak_memory_bytes"] > 1 << 20
    assert review["hours"] > 0
    assert review["upheld"] == {"yes": 1}
    assert review["waived"] == {}
    (prints,) = review["fingerprints"].values()
    assert (prints["file"], prints["steps"], prints["first"]["name"]) == ("fingerprints.jsonl", 1, "weights")
    assert prints["last"] == prints["first"]
    (configuration,) = review["configurations"]
    assert configuration["exported_seeds"] == [7]
    assert configuration["made_in_all"]["runs"] == 3
    assert configuration["made_in_all"]["seeds"] == [1, 2, 7]
    (configuration,) = json.loads((anonymous / "review.json").read_text())["configurations"]
    assert configuration["planned_seeds"] == configuration["finished_seeds"] == [1, 2]


def test_nobody_is_named(lab: Laboratory, anonymous: Path, tmp_path: Path) -> None:
    """Neither in a file nor in the history of the code; what was taken out is listed, without saying it again."""
    told = [USER, "A User", "user@example.org", str(lab.top), lab.environment["HOME"]]
    if sys.prefix != sys.base_prefix:
        told.append(sys.prefix)  # the folder of an environment may be called by a lab
    host = load(lab.runs()[0], "run")["host"]
    told += [load(lab.runs()[0], "code")["commit"], *([host] if len(host) > 4 else [])]
    for path in anonymous.rglob("*"):
        assert USER not in path.relative_to(anonymous).as_posix()
        if path.is_file():
            data = path.read_bytes()
            for text in told:
                assert text.encode() not in data, (path, text)
    record = json.loads((anonymous / "export.json").read_text())
    assert record["anonymous"] is True
    assert record["still_there"] == []
    assert {text.split(" (")[0] for text in record["removed"]} >= {"user", "project path", "remote"}
    for run in record["runs"]:
        assert {"binary.bin", "packed.gz", "packed.npz", "wide.txt"} <= run["left_out"].keys()
        assert "weights.npz" not in run["left_out"]
    for run in record["runs"]:
        record = json.loads((anonymous / run["dir"] / ".repro/run.json").read_text())
        assert (record["user"], record["host"]) == ("anonymous", "anonymous")
        assert (anonymous / run["dir"] / "where.txt").read_text() == "anonymous ran in a folder\n"
        assert "vouch.json" not in {path.name for path in (anonymous / run["dir"] / ".repro").iterdir()}
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (bundle,) = (anonymous / "code").iterdir()
    subprocess.run(["git", "fetch", "-q", str(bundle), "exported"], cwd=tmp_path, check=True)
    log = subprocess.run(
        ["git", "log", "--format=%an %ae %cn %ce %ad", "FETCH_HEAD"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    nobody = "repro-hydra nobody@localhost"
    assert log.splitlines() == [f"{nobody} {nobody} Sat Jan 1 00:00:00 2000 +0000"]


def test_code_that_names_somebody_is_told(lab: Laboratory, single: Path, tmp_path: Path) -> None:
    """The code is not changed, since its runs must stay the same: it is named, and the exit status is 1."""
    own = laboratory_in(tmp_path)
    own.environment |= {"USER": USER, "LOGNAME": USER}
    own.holding(
        SCRIPT.replace("import os\n", f"# by {USER}\nimport os\n"), "seed: 1\nlr: 1\ndata: d.txt\nwho: me\n"
    )
    own.write("d.txt", "1 2\n")
    own.commit()
    own.run("+repro=strict").ok()
    ended = own.repro("export", str(own.only_run()), "-o", str(tmp_path / "out"), "--anonymous")
    assert ended.code == 1
    assert "NOT ANONYMOUS YET" in ended.err
    assert "code: train.py:1: the user" in ended.err


# ---------------------------------------------------------------------- the profiles


def objections(folder: Path) -> list[str]:
    """What `roc-validator` objects to, by its strictest profile and those below it; in a process, which it changes."""
    code = (
        "import json, sys\nfrom pathlib import Path\n"
        "import rocrate\nimport rdflib.plugins.shared.jsonld.context as context\n"
        "import rdflib.plugins.shared.jsonld.util as util\n"
        # The context is fetched from the net; rocrate brings one along, of a later version that moved this term.
        "known = json.loads(Path(rocrate.__file__).with_name('data').joinpath('ro-crate.jsonld').read_text())\n"
        "known['@context']['ComputationalWorkflow'] = 'https://bioschemas.org/ComputationalWorkflow'\n"
        "original = util.source_to_json\n"
        "def found(source, *rest, **more):\n"
        "    return (known, None) if 'w3id.org/ro/crate' in str(source) else original(source, *rest, **more)\n"
        "util.source_to_json = context.source_to_json = found\n"
        "from rocrate_validator import models, services\n"
        "settings = services.ValidationSettings(rocrate_uri=sys.argv[1], profile_identifier='workflow-run-crate',\n"
        "    requirement_severity=models.Severity.REQUIRED, no_cache=True)\n"
        "result = services.validate(settings)\n"
        "print(json.dumps({\n"
        "    'checked': sorted({check.requirement.profile.identifier for check in result.executed_checks}),\n"
        "    'issues': [f'{i.check.identifier}: {i.message}' for i in result.get_issues()]}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    profiles = ("process-run-crate", "ro-crate-1.1", "workflow-ro-crate", "workflow-run-crate")
    assert all(name.startswith(profile) for name, profile in zip(answer["checked"], profiles, strict=True))
    asks_the_net = ("ro-crate-1.1_3.1", "ro-crate-1.1_3.2")
    return [issue for issue in answer["issues"] if not issue.startswith(asks_the_net)]


def test_it_is_a_workflow_run_crate(anonymous: Path, tmp_path: Path) -> None:
    """The field's validator has nothing to object; without the program it has."""
    pytest.importorskip("rocrate_validator", reason="roc-validator is not installed")
    assert objections(anonymous) == []
    spoilt = shutil.copytree(anonymous, tmp_path / "spoilt")
    metadata = spoilt / "ro-crate-metadata.json"
    graph = json.loads(metadata.read_text())
    graph["@graph"] = [item for item in graph["@graph"] if not item["@id"].startswith("workflow/")]
    metadata.write_text(json.dumps(graph))
    assert objections(spoilt) != []


# ---------------------------------------------------------------------- what is refused


def test_a_secret_stops_it(lab: Laboratory, single: Path, tmp_path: Path) -> None:
    """Whatever came into the run's folder since: nothing is written, and the file is named with its line."""
    run = shutil.copytree(single, tmp_path / "run")
    secret = "one\ntoken ghp_" + "a1B2" * 9 + "\n"
    (run / "debug.txt").write_text(secret)
    (run / "debug.log.gz").write_bytes(gzip.compress(secret.encode()))
    target = tmp_path / "out"
    ended = lab.repro("export", str(run), "-o", str(target)).refused(1, "debug.txt:2", "GitHub", "--exclude")
    assert "debug.log.gz: in what is packed in it" in ended.text
    assert "a1B2" not in ended.text
    assert not target.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    lab.repro("export", str(run), "-o", str(target), "--exclude", "debug.*").ok()
    assert not (target / "run/debug.txt").exists()


def test_a_name_that_is_taken(lab: Laboratory, single: Path, tmp_path: Path) -> None:
    lab.repro("export", str(single), "-o", str(tmp_path)).refused(1, "a name that is free")


def packed(target: Path, files: dict[str, str], mode: int = stat.S_IFREG | 0o644) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for name, text in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, text)
    return target


@pytest.mark.parametrize(
    ("files", "mode", "word"),
    [
        ({"../evil.txt": "x"}, stat.S_IFREG | 0o644, "leads out"),
        ({"/tmp/evil.txt": "x"}, stat.S_IFREG | 0o644, "leads out"),
        ({"export.json": "/etc/passwd"}, stat.S_IFLNK | 0o777, "no plain file"),
        ({"readme.txt": "x"}, stat.S_IFREG | 0o644, "expected an export"),
        ({"export.json": "{"}, stat.S_IFREG | 0o644, "expected JSON"),
        (
            {
                "export.json": json.dumps(
                    {
                        "schema": "1.0", "made_at": "", "repro_hydra": "", "anonymous": False, "kind": "run",
                        "root": "../../..",
                    }
                )
            },
            stat.S_IFREG | 0o644,
            "leads out",
        ),
    ],
)  # fmt: skip
def test_hostile_files_are_refused(
    elsewhere: Elsewhere, tmp_path: Path, files: dict[str, str], mode: int, word: str
) -> None:
    """Nothing leaves the scratch folder, nothing is run, and the user gets a sentence."""
    archive = packed(tmp_path / "x.zip", files, mode)
    elsewhere.repro("reproduce", str(archive), "--yes").refused(2, word)
    assert not (tmp_path / "evil.txt").exists()


def test_code_that_was_exchanged_is_not_run(
    crate: Path, anonymous: Path, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    """The bundle must give the tree that the record names, whatever `export.json` says of its digest."""
    spoilt = shutil.copytree(anonymous, tmp_path / "spoilt")
    (bundle,) = (spoilt / "code").iterdir()
    bundle.write_bytes(bundle.read_bytes()[:-20] + b"0" * 20)
    document: dict[str, Any] = json.loads(elsewhere.repro("reproduce", str(spoilt), "--yes", "--json").out)
    assert document["verdict"] == "IMPOSSIBLE"
    assert any("digest differs" in text for text in document["missing"])
    repository = tmp_path / "evil"
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    (repository / "train.py").write_text("raise SystemExit('owned')\n")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run([*git, "add", "-A"], cwd=repository, check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x"], cwd=repository, check=True)
    subprocess.run([*git, "bundle", "create", "-q", str(bundle), "HEAD"], cwd=repository, check=True)
    from repro_hydra.record.manifest import digest_file

    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=repository, check=True, capture_output=True, text=True
    )
    record = json.loads((spoilt / "export.json").read_text())
    record["code"][0] |= {"snapshot": head.stdout.strip(), "blake3": digest_file(bundle)}
    (spoilt / "export.json").write_text(json.dumps(record))
    ended = elsewhere.repro("reproduce", str(spoilt), "--yes", "--json")
    assert "owned" not in ended.text
    document = json.loads(ended.out)
    assert document["verdict"] == "IMPOSSIBLE"
    assert any(
        "is not what the run had" in text or "not what the run had" in text for text in document["missing"]
    )
