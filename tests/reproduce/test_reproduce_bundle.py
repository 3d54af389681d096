"""Code that no remote has: a record and its data are enough in a folder where nothing else is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from laboratory import SCRIPT, Laboratory

DIRTY = SCRIPT.replace("cfg.lr", "cfg.lr + 1")


def code_of(run: Path) -> dict[str, object]:
    return dict(json.loads((run / ".repro/code.json").read_text()))


def test_a_record_alone_is_enough(lab: Laboratory, tmp_path: Path) -> None:
    """The repository is gone, its folder too: single run and sweep are run again from their bundle, to the bit."""
    lab.holding(SCRIPT)
    lab.write("train.py", DIRTY)
    lab.write("new.py", "")
    run = lab.original("seed=3")
    lab.run("-m", "+repro=strict", "seed=1,2").ok()
    sweep = lab.sweep()
    code = code_of(run)
    bundle = code["bundle"]
    assert isinstance(bundle, dict)
    assert bundle["stands_on"] == []
    assert (run / ".repro/code.bundle").stat().st_size == bundle["size_bytes"]
    assert not (sweep / "0/.repro/code.bundle").exists()
    assert (sweep / ".repro/code.bundle").exists()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copytree(run, elsewhere / "run")
    shutil.copytree(sweep, elsewhere / "sweep")
    shutil.rmtree(lab.top)
    for record in ("run", "sweep/1"):
        document = lab.bitwise(elsewhere / record, cwd=elsewhere)
        assert document["compared"]["metrics"] == 3
    ended = lab.repro("verify", str(elsewhere / "run"), cwd=elsewhere).ok()
    assert "code.bundle" in ended.out

    # A bundle that was changed is not what code.json names.
    file = elsewhere / "run/.repro/code.bundle"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    document = lab.reproduce(elsewhere / "run", cwd=elsewhere)
    assert document["verdict"] == "IMPOSSIBLE"
    assert any("code.bundle" in text for text in document["missing"])


def test_a_bundle_stands_on_what_the_remote_has(lab: Laboratory, tmp_path: Path) -> None:
    """Only what was never pushed is in it; a clone of the remote and the record are enough together."""
    remote, clone = tmp_path / "remote.git", tmp_path / "clone"
    lab.holding(SCRIPT, big="x" * 100_000)
    lab.git("clone", "-q", "--bare", ".", str(remote))
    lab.git("remote", "add", "origin", str(remote))
    lab.git("fetch", "-q", "origin")
    pushed = lab.original("seed=1")
    assert code_of(pushed)["bundle"] is None
    lab.write("train.py", DIRTY)
    on_remote = lab.original("seed=2")
    assert code_of(on_remote)["bundle"] is None
    lab.commit()
    run = lab.original("seed=3")
    bundle = code_of(run)["bundle"]
    assert isinstance(bundle, dict)
    assert len(bundle["stands_on"]) == 1
    assert bundle["size_bytes"] < 5_000
    lab.git("clone", "-q", str(remote), str(clone))
    moved = lab.moved_away(run, tmp_path / "moved")
    shutil.rmtree(lab.top)
    lab.bitwise(moved, cwd=clone)
    document = lab.reproduce(moved, cwd=tmp_path / "home")
    assert document["verdict"] == "IMPOSSIBLE"


def test_a_bundle_above_its_cap_is_named(lab: Laboratory) -> None:
    """It is left out, which is said and blocks nothing: this machine has the code."""
    lab.holding(SCRIPT)
    run = lab.original("seed=1", "hydra.callbacks.repro.code.max_bundle_bytes=300")
    assert code_of(run)["bundle"] is None
    findings = json.loads((run / ".repro/run.json").read_text())["findings"]
    (finding,) = [finding for finding in findings if finding["id"].startswith("code-not-bundled:")]
    assert finding["severity"] == "harmless"


IMPORTING = SCRIPT.replace(
    "import repro_hydra\n",
    "import repro_hydra\nimport sys\nfrom pathlib import Path\n\n"
    "sys.path.append(str(Path(__file__).parent / 'vendor/lib'))\nfrom inner import IN\nfrom outer import OUT\n",
).replace("cfg.lr", "cfg.lr * IN * OUT")


def test_other_repositories_are_part_of_the_code(lab: Laboratory, tmp_path: Path) -> None:
    """A submodule and a repository on PYTHONPATH, both with changes of their own: captured, and run again."""
    library, outer = (
        Laboratory(tmp_path / "library", lab.environment),
        Laboratory(tmp_path / "outer", lab.environment),
    )
    for project, name, text in ((library, "inner.py", "IN = 1\n"), (outer, "src/outer.py", "OUT = 1\n")):
        project.top.mkdir()
        project.git("init", "-q")
        project.write(name, text)
        project.commit()
    lab.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library.top), "vendor/lib")
    lab.holding(IMPORTING)
    lab.write("vendor/lib/inner.py", "IN = 2\n")
    outer.write("src/outer.py", "OUT = 3\n")
    outer.write("src/key.pem", "secret")
    search = {"PYTHONPATH": str(outer.top / "src")}
    refused = lab.run("+repro=strict", "seed=1", **search)
    refused.refused(1, f"[code-not-captured:{outer.top}/src/key.pem]")
    (outer.top / "src/key.pem").unlink()
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "loose.py").write_text("")
    lab.run("+repro=strict", "seed=1", PYTHONPATH=f"{outer.top}/src:{plain}").refused(
        1, f"[code-not-captured:{plain}]", "git init"
    )
    run = lab.original("seed=1", **search)
    code = code_of(run)
    others = code["others"]
    assert isinstance(others, list)
    assert [other["imported_by"] for other in others] == [["submodule vendor/lib"], ["PYTHONPATH"]]
    assert others[1]["import_folders"] == ["src"]
    assert b"+IN = 2" in (run / ".repro/code-1.patch").read_bytes()
    assert b"+OUT = 3" in (run / ".repro/code-2.patch").read_bytes()

    lab.write("vendor/lib/inner.py", "IN = 5\n")
    outer.write("src/outer.py", "OUT = 5\n")
    lab.bitwise(run)
    verified = lab.repro("verify", str(run)).ok().out
    assert "PYTHONPATH: can be had: snapshot" in verified
    assert "submodule vendor/lib: can be had: snapshot" in verified
    moved = lab.moved_away(run, tmp_path / "moved")
    for folder in (lab.top, outer.top):
        shutil.rmtree(folder)
    document = lab.reproduce(moved, cwd=plain)  # the submodule's commit is where it always was: on its remote
    assert str(library.top) in "".join(document["missing"])
    lab.bitwise(moved, cwd=library.top)
