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
