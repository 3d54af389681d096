"""`repro-hydra verify`: the manifest against what was kept elsewhere, and many runs at once."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import subprocess
from pathlib import Path

from doors_project import LIMIT_S
from laboratory import SCRIPT, Laboratory, edit

from repro_hydra.record.manifest import digest_bytes, write_manifest
from repro_hydra.record.paths import RunPaths


def test_the_manifest_is_held_against_its_digest(lab: Laboratory, tmp_path: Path) -> None:
    """Whoever rewrites record and manifest both is found by the digest that was printed at the run's end, alone."""
    lab.holding(SCRIPT)
    ended = lab.run("+repro=strict", "seed=3").ok()
    run = lab.only_run()
    printed = ended.text.rpartition("manifest blake3:")[2].split()[0]
    assert printed == digest_bytes((run / ".repro/manifest.json").read_bytes())
    for given in (printed, f"blake3:{printed}", printed[:12]):
        lab.repro("verify", str(run), "--manifest", given).ok()
    lab.repro("verify", str(run), "--manifest", printed[:4]).refused(1, "expected blake3:")
    forged = shutil.copytree(run, tmp_path / "forged")
    edit(forged / ".repro/result.json", accuracy=1.0)
    lab.repro("verify", str(forged)).refused(1, "result.json: changed since the manifest was made")
    write_manifest(RunPaths(forged))
    # Both were rewritten: this user's key knows what the run left, anybody else has the manifest alone.
    lab.repro("verify", str(forged)).refused(1, "result.json: is not what this user's run left there")
    assert (
        "not signed"
        in lab.repro("verify", str(forged), XDG_STATE_HOME=str(tmp_path / "a stranger's")).ok().out
    )
    (forged / ".repro/result.json").write_bytes((run / ".repro/result.json").read_bytes())
    (forged / ".repro/metrics.jsonl").write_text("")
    edit(forged / ".repro/vouch.json", results={})
    write_manifest(RunPaths(forged))
    lab.repro("verify", str(forged)).refused(1, "vouch.json: is not what this user's run left there")
    lab.repro("verify", str(forged), "--manifest", printed).refused(1, f"expected blake3:{printed}")

    # many at once: one document, each finding with its run, and the one that is not whole found among them
    many = [shutil.copytree(run, tmp_path / "many" / str(number)) for number in range(25)]
    (many[7] / "weights.npz").write_bytes(b"")
    ended = lab.repro("verify", "--json", *map(str, many))
    assert ended.code == 1
    assert ended.err == ""  # how far it is, is told where somebody watches
    document = json.loads(ended.out)
    assert document["ok"] is False
    blocking = [item for item in document["findings"] if item["severity"] == "blocks"]
    assert [(item["run"], item["message"].split(":")[0]) for item in blocking] == [
        (str(many[7]), "weights.npz")
    ]
    told = on_a_terminal(lab, "verify", "--json", *map(str, many))
    assert "verify: 1 of 25" in told
    assert "verify: 25 of 25" in told
    lab.repro("verify", *map(str, many[:2]), "--manifest", printed).refused(2, "expected one run, found 2")


def on_a_terminal(lab: Laboratory, *arguments: str) -> str:
    """What the command says on a standard error that is a terminal."""
    ours, its = pty.openpty()
    with (
        os.fdopen(ours, "rb", buffering=0) as terminal,
        subprocess.Popen(
            [lab.python, "-m", "repro_hydra", *arguments],
            cwd=lab.top,
            env=lab.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=its,
        ) as process,
    ):
        os.close(its)
        said = b""
        with contextlib.suppress(OSError):  # EIO is how Linux tells that nobody writes there any more
            while part := terminal.read(4096):
                said += part
        process.wait(LIMIT_S)
    return said.decode()


def test_a_sweep_is_whole_only_with_all_its_jobs(lab: Laboratory) -> None:
    """What is not there was not verified: a job that was completed is named, and no job at all is no yes."""
    lab.holding(SCRIPT)
    lab.run("-m", "+repro=strict", "seed=1,2").ok()
    sweep = lab.sweep()
    lab.repro("verify", str(sweep)).ok()
    shutil.rmtree(sweep / "1")
    told = "job 1 (+repro=strict seed=2): was completed, and has no record here"
    lab.repro("verify", str(sweep)).refused(1, f"NO record: {told}")
    document = json.loads(lab.repro("verify", str(sweep), "--json").out)
    assert document["ok"] is False
    assert [item["message"] for item in document["findings"] if item["severity"] == "blocks"] == [told]
    shutil.rmtree(sweep / "0")
    lab.repro("verify", str(sweep)).refused(1, "so nothing was verified")
