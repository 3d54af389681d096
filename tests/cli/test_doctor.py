"""`repro-hydra doctor`: real projects with real defects, each named, and mended by the command that it offers."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from repro_hydra.cli.app import command_line
from repro_hydra.cli.doctor import page
from repro_hydra.doctor import machine, project
from repro_hydra.doctor.advice import Advice, Examination, advice_from
from repro_hydra.record.environment import Gpu
from repro_hydra.record.schema import Finding

FACTS = {"python", "platform", "gpus", "commit", "dirty", "datasets", "runs", "record_bytes"}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, a home and a git identity of its own."""
    folder = tmp_path / "project"
    folder.mkdir()
    config = tmp_path / "gitconfig"
    config.write_text("[user]\n\tname = A User\n\temail = user@example.org\n[init]\n\tdefaultBranch = main\n")
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    monkeypatch.chdir(folder)
    return folder


def doctor(status: int) -> Any:
    result = CliRunner().invoke(command_line(), ["doctor", "--json"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


def shell(command: str) -> None:
    subprocess.run(["bash", "-c", command], check=True, capture_output=True, timeout=60)


def by_id(findings: list[Any]) -> dict[str, Any]:
    return {finding["id"]: finding for finding in findings}


def named(advice: Any) -> dict[str, Advice]:
    return {item.id: item for item in advice}


def test_an_empty_folder_gets_an_answer_and_its_remedy_mends_it(here: Path) -> None:
    """Without a project the document is whole, git is what blocks, and the command offered makes it a project."""
    told = doctor(status=1)
    assert told["ok"] is False
    assert told["facts"].keys() >= FACTS
    assert (told["facts"]["commit"], told["facts"]["datasets"], told["facts"]["runs"]) == (None, 0, 0)
    for finding in told["findings"]:
        assert finding.keys() == {"id", "severity", "message", "remedy"}
    assert [f["id"] for f in told["findings"] if f["severity"] == "blocks"] == ["no-git-repository"]
    assert list(here.iterdir()) == []
    (here / "train.py").write_text("pass\n")
    shell(by_id(told["findings"])["no-git-repository"]["remedy"])
    state = project.look_at_code(here)
    assert state.record.commit is not None
    assert not [f for f in state.findings if f.severity == "blocks"]


def test_each_defect_of_a_project_is_named_with_its_remedy(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code, snapshots, environments in the repository, data, variables: all on one page, and the facts beside them."""
    shell("git init -q && echo 'pass' > train.py && git add -A && git commit -qm 'a commit'")
    shell("echo 'changed' > train.py && git update-ref refs/repro/abc HEAD")
    shell("git remote add copy https://example.org/r && git config remote.copy.mirror true")
    (here / ".venv/bin").mkdir(parents=True)
    (here / ".venv/pyvenv.cfg").write_text("home = /usr/bin\n")
    (here / "outputs/run/.repro").mkdir(parents=True)
    (here / "outputs/run/.repro/run.json").write_text("{}")
    with (here / "weights.bin").open("wb") as big:
        big.truncate(11_000_000)
    shell(f"{sys.executable} -m repro_hydra data add train.py && rm -f gone; cp train.py gone")
    shell(f"{sys.executable} -m repro_hydra data add gone && rm gone")
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.setenv("PYTHONPATH", str(here / "lib"))

    told = doctor(status=1)
    found = by_id(told["findings"])
    assert [f["id"] for f in told["findings"] if f["severity"] == "blocks"] == [
        "code-not-captured:weights.bin"
    ]
    for expected in (
        "dirty", "commit-not-on-remote", "snapshots", "remote-mirrors:copy", "not-ignored:.venv",
        "not-ignored:outputs", "data-missing:gone", "hash-seed-chosen", "variable-set:PYTHONPATH", "no-lock",
    ):  # fmt: skip
        assert found[expected]["remedy"], expected
    assert "git push --mirror" in found["snapshots"]["message"]
    facts = told["facts"]
    assert (facts["dirty"], facts["datasets"], facts["runs"]) == (True, 2, 1)
    assert facts["record_bytes"] == 2
    assert len(facts["commit"]) == 40

    text = page(msgspec.convert(told, Examination))
    assert text.index("NO [code-not-captured") < text.index("-- [snapshots]")
    assert f"-> {found['not-ignored:.venv']['remedy']}" in text
    assert text.endswith("a strict run would not start here")

    for mended in ("not-ignored:.venv", "not-ignored:outputs", "remote-mirrors:copy"):
        shell(found[mended]["remedy"])
    after = named(project.about_code(project.look_at_code(here), here, os.environ))
    assert not {"not-ignored:.venv", "not-ignored:outputs", "remote-mirrors:copy"} & after.keys()
    assert "snapshots" in after


def test_a_folder_that_hides_the_plugins_is_found_and_mended(here: Path) -> None:
    """`hydra_plugins/__init__.py` in a project makes `+repro=strict` a silent no-op: that blocks."""
    (here / "hydra_plugins").mkdir()
    (here / "hydra_plugins/__init__.py").write_text("")
    advice, _ = machine.about_discovery(here)
    hidden = named(advice)["plugin-not-found"]
    assert hidden.severity == "blocks"
    assert hidden.remedy == f"rm {here}/hydra_plugins/__init__.py"
    shell(hidden.remedy)
    advice, launchers = machine.about_discovery(here)
    assert advice == []
    assert {"basic", "repro", "submitit_slurm"} <= set(launchers)


def test_libraries_that_cannot_be_imported_block(here: Path) -> None:
    """A module of the project that stands before torch is named by what Python says."""
    (here / "torch.py").write_text("raise ImportError('this is not the torch you meant')\n")
    (told,) = machine.about_settings(here, [])
    assert (told.id, told.severity) == ("settings-not-probed", "blocks")
    assert "this is not the torch you meant" in told.message


def test_old_torch_and_a_gpu_that_it_does_not_see_are_told() -> None:
    """What the version says, and the driver beside it; a torch that is new and sees them is no matter."""
    gpus = [Gpu(index=0, name="A GPU")]
    old = {"torch": "2.6.0+cpu", "torch_sees_gpus": False}
    assert named(machine._about_torch(old, gpus)).keys() == {"torch-weights-only", "torch-sees-no-gpu"}
    new = {"torch": "2.13.0", "torch_sees_gpus": True}
    assert named(machine._about_torch(new, gpus)) == {}


def test_slurm_is_asked_only_where_it_is(tmp_path: Path) -> None:
    """Without sbatch nothing is said; without accounting or a launcher, what will bite is."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    environ = {"PATH": str(binaries)}
    assert named(machine.about_slurm(environ, [])) == {}
    for name, body in (
        ("sbatch", "exit 0"),
        ("sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1"),
    ):
        script = binaries / name
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    told = named(machine.about_slurm(environ, ["basic"]))
    assert told.keys() == {"submitit-missing", "slurm-without-accounting"}
    assert "accounting storage is disabled" in told["slurm-without-accounting"].message
    (binaries / "sacct").write_text("#!/bin/sh\nexit 0\n")
    assert named(machine.about_slurm(environ, ["submitit_slurm"])) == {}


def test_a_full_disk_and_a_broken_registry_block(here: Path) -> None:
    """Each before a run would meet it."""
    assert named(project.about_disk(here, 50 << 20))["disk-full"].severity == "blocks"
    assert named(project.about_disk(here, 500 << 20))["disk-nearly-full"].severity == "harmless"
    assert named(project.about_disk(here, 50 << 30)) == {}
    (here / "repro-data").mkdir()
    (here / "repro-data/registry.jsonl").write_text("<<<<<<< HEAD\n")
    (broken,) = project.look_at_data(here).advice
    assert (broken.id, broken.severity) == ("data-registry", "blocks")


def test_the_mend_in_a_findings_message_becomes_the_remedy() -> None:
    """A command after "Run:", else the last sentence; what has neither has none."""
    for message, expected in (
        ("code: expected x, found y. Run: git init '/a b', then commit", "git init '/a b', then commit"),
        ("it is too large. Commit it, or ignore it", "Commit it, or ignore it"),
        ("1 file differs", None),
    ):
        advice = advice_from(Finding(id="some", severity="blocks", message=message))
        assert advice.remedy == expected
        assert "Run:" not in advice.message


def test_outputs_kept_for_their_readme_are_ignored_all_the_same(here: Path) -> None:
    """As in this repository: the folder is git's, what runs write into it is not."""
    shell("git init -q && mkdir -p outputs/2026-11-23 && echo 'what runs write' > outputs/README.md")
    shell(
        "printf '/outputs/*\\n!/outputs/README.md\\n' > .gitignore && git add -A && git commit -qm 'a commit'"
    )
    found = named(project.about_code(project.look_at_code(here), here, os.environ))
    assert "not-ignored:outputs" not in found


def test_a_temporary_folder_whose_sockets_cannot_be_opened_is_told() -> None:
    """Told exactly where a real socket of that length is refused; a data loader hangs there."""
    short = tempfile.mkdtemp(dir="/tmp")
    try:
        for length in range(70, 90):
            folder = short + "/" + "x" * (length - len(short) - 1)
            place = Path(folder, "pymp-12345678")
            place.mkdir(parents=True)
            with socket.socket(socket.AF_UNIX) as listener:
                try:
                    listener.bind(str(place / "listener-12345678"))
                    opened = True
                except OSError:
                    opened = False
            told = list(machine.about_temporary_folder({"TMPDIR": folder}))
            assert [advice.id for advice in told] == ([] if opened else ["temporary-folder-too-long"])
    finally:
        shutil.rmtree(short)
    assert list(machine.about_temporary_folder({})) == []
