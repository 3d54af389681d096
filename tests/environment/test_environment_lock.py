"""Locks: what differs and how it is graded, and a project's lock in front of its runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from repro_hydra.cli.app import command_line
from repro_hydra.environment import capture_environment, list_distributions
from repro_hydra.environment.in_use import InUse
from repro_hydra.environment.locked import locked_differences
from repro_hydra.record.environment import Distribution, EnvironmentRecord, Gpu
from repro_hydra.record.lock import EnvironmentLock, read_lock, write_lock
from repro_hydra.record.store import RecordError

HERE = capture_environment(
    environ={}, distributions=[Distribution(name="six", version="1.17.0", kind="index")]
)


def lock(**changes: Any) -> EnvironmentLock:
    return EnvironmentLock(made_at="", environment=msgspec.structs.replace(HERE, **changes))


def grades(locked: EnvironmentLock, here: EnvironmentRecord = HERE, **more: Any) -> dict[str, str]:
    return {
        item.id.removeprefix("environment-differs:"): item.severity
        for item in locked_differences(locked, here, here.distributions, **more)
    }


def test_the_same_environment_does_not_differ() -> None:
    assert grades(lock()) == {}


def test_packages_are_graded() -> None:
    """Another version and a missing one block; one more than the lock has, and an installer, are harmless."""
    six, pip, more = (
        Distribution(name=name, version=version, kind="index")
        for name, version in (("Six", "1.16.0"), ("pip", "1"), ("gone", "1"))
    )
    assert grades(lock(distributions=[six, pip, more])) == {
        "packages.six": "blocks",
        "packages.gone": "blocks",
        "packages.pip": "harmless",
    }
    assert grades(lock(distributions=[])) == {"packages.six": "harmless"}


def test_a_package_that_nobody_uses_does_not_block_a_run() -> None:
    """Before a run it counts what is imported, and what that requires."""
    other = lock(distributions=[Distribution(name="six", version="1.16.0")])
    assert grades(other, in_use=lambda name: "imported") == {"packages.six": "blocks"}
    assert grades(other, in_use=lambda name: None) == {"packages.six": "may_change_bits"}


def test_what_is_in_use_is_found_in_this_process() -> None:
    """msgspec is imported here, attrs is required by nothing of it; hypothesis' requirements count with it."""
    code = (
        "import typer\nfrom repro_hydra.environment.in_use import InUse\n"
        "why = InUse().why\nprint([why(name) for name in ('typer', 'rich', 'ruff')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    imported, required, neither = eval(done.stdout)
    assert imported == "imported"
    assert required in ("required by typer", "imported")
    assert neither is None
    assert InUse().why("pytest") == "imported"


def test_interpreter_and_machine_are_graded() -> None:
    """Another minor version of Python and another kind of machine block; a GPU, the C library may change bits."""
    interpreter = msgspec.structs.replace(HERE.interpreter, version="2.7.18")
    platform = msgspec.structs.replace(HERE.platform, machine="riscv", libc="glibc 1.0", release="0")
    found = grades(lock(interpreter=interpreter, platform=platform, gpus=[Gpu(index=0, name="A card")]))
    assert found.pop("python") == "blocks"
    assert found.pop("machine") == "blocks"
    assert found.pop("libc") == "may_change_bits"
    if HERE.gpus is not None:
        assert found.pop("gpus") == "may_change_bits"
    assert found == {}  # the kernel's release is nobody's concern
    major, minor, _ = HERE.interpreter.version.split(".", 2)
    patch = msgspec.structs.replace(HERE.interpreter, version=f"{major}.{minor}.99")
    assert grades(lock(interpreter=patch)) == {"python": "may_change_bits"}


def test_origins_are_compared() -> None:
    """The same version from somebody's folder is not the released one; a repository's commit counts."""
    folder = Distribution(name="six", version="1.17.0", kind="editable", url="file:///a", editable=True)
    assert grades(lock(distributions=[folder])) == {"origin.six": "may_change_bits"}
    one, other = (
        Distribution(name="six", version="1", kind="vcs", url="git+https://x.org/a", commit=letter * 40)
        for letter in "ab"
    )
    here = msgspec.structs.replace(HERE, distributions=[other])
    assert grades(lock(distributions=[one]), here) == {"packages.six": "blocks"}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "expected JSON"),
        ("[]", "expected a JSON object"),
        ('{"schema": "9.0"}', "pip install --upgrade"),
        ('{"schema": "1.0"}', "environment lock"),
        ('{"schema": "1.0", "environment": {"interpreter": 3}}', "environment lock"),
    ],
)
def test_what_is_no_lock_is_told(tmp_path: Path, text: str, word: str) -> None:
    file = tmp_path / "lock.json"
    file.write_text(text)
    with pytest.raises(RecordError, match=word):
        read_lock(file)


def test_a_lock_is_read_back_equal(tmp_path: Path) -> None:
    file = tmp_path / "lock.json"
    write_lock(file, lock())
    assert read_lock(file) == lock()
    file.write_bytes(msgspec.json.encode(HERE))  # a record's environment.json will do
    assert read_lock(file).environment == HERE


# ---------------------------------------------------------------------- a project's lock

SCRIPT = """\
import msgspec
import hydra


@hydra.main(version_base=None, config_path=None)
def main(cfg):
    if "login" in cfg:
        raise RuntimeError(f"the server does not know {cfg.login}")
    return 1.0


if __name__ == "__main__":
    main()
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("project")
    (top / "train.py").write_text(SCRIPT)
    (top / ".gitignore").write_text("outputs/\nmultirun/\n__pycache__/\n")
    run(top, "git", "init", "-q")
    run(top, "git", "add", "-A")
    run(top, "git", "-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-q", "-m", "one")
    return top


def run(top: Path, *command: str, status: int = 0) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "REPRO_"))}
    done = subprocess.run(
        command,
        cwd=top,
        env=clean | {"HOME": str(top.parent), "XDG_STATE_HOME": str(top.parent / "state")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def ours(top: Path, *arguments: str, status: int = 0) -> str:
    """``repro-hydra …`` within this process, which saves the start of another."""
    with pytest.MonkeyPatch.context() as there:
        there.chdir(top)
        there.setenv("HOME", str(top.parent))
        there.setenv("XDG_STATE_HOME", str(top.parent / "state"))
        done = CliRunner().invoke(command_line(), list(arguments))
    assert done.exit_code == status, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.output


def train(top: Path, *arguments: str, status: int = 0) -> str:
    return run(top, sys.executable, "train.py", *arguments, status=status)


def newest(top: Path) -> Path:
    runs = sorted(top.glob("**/.repro/run.json"), key=lambda file: file.stat().st_mtime_ns)
    return runs[-1].parent


def with_another(name: str, distributions: list[Distribution]) -> list[Distribution]:
    """The list, with a version of `name` that was never released."""
    return [
        msgspec.structs.replace(item, version="0.0.0.1") if item.name == name else item
        for item in distributions
    ]


def test_strict_holds_a_run_against_the_project_s_lock(project: Path) -> None:
    """The lock that `env setup` wrote lets it run; one with another msgspec stops it before anything is created."""
    said = run(
        project,
        sys.executable,
        "-m",
        "repro_hydra",
        "env",
        "setup",
        "--command",
        "python train.py +repro=strict",
    )
    assert "requirements.txt" in said
    assert "not written: pylock.toml" in said
    assert "env setup --online" in said
    made = {path.name for path in (project / "environment").iterdir()}
    assert made == {"requirements.txt", "environment.yml", "Dockerfile"}
    dockerfile = (project / "environment/Dockerfile").read_text()
    assert "COPY environment/requirements.txt requirements.txt" in dockerfile
    assert 'CMD ["python", "train.py", "+repro=strict"]' in dockerfile
    train(
        project, "+repro=strict", "hydra.callbacks.repro.environment.exports=[requirements,pylock,dockerfile]"
    )
    record = newest(project)
    environment = json.loads((record / "environment.json").read_text())
    assert environment["lock"]["path"] == str(project / "repro-lock.json")
    assert environment["lock"]["verified"] is True
    listed = json.loads((record / "run.json").read_text())
    assert listed["upheld"] == "yes"
    assert [item["id"] for item in listed["findings"] if item["severity"] != "harmless"] == []
    assert "export-incomplete:pylock" in {item["id"] for item in listed["findings"]}
    assert sorted(path.name for path in (record / "exports").iterdir()) == ["Dockerfile", "requirements.txt"]
    command = (record / "exports/Dockerfile").read_text().rpartition("CMD ")[2]
    assert json.loads(command)[:3] == ["python", "train.py", "+repro=strict"]

    export = ("env", "export", "--format", "dockerfile", "--from", str(record.parent))
    said = ours(project, *export)
    assert 'CMD ["python", "train.py", "+repro=strict", ' in said
    assert "expected the name of a file, found a folder" in ours(project, *export, "-o", ".", status=2)
    assert f"and {record / 'environment.json'}" in ours(project, "env", "verify", str(record.parent))

    file = project / "repro-lock.json"
    good = read_lock(file)
    other = with_another("msgspec", good.environment.distributions or [])
    bad = msgspec.structs.replace(
        good, environment=msgspec.structs.replace(good.environment, distributions=other)
    )
    write_lock(file, bad)
    before = sorted(project.rglob("run.json"))
    said = train(project, "+repro=strict", status=1)
    assert "[environment-differs:packages.msgspec] packages.msgspec: locked 0.0.0.1, found" in said
    assert "(imported)" in said
    assert sorted(project.rglob("run.json")) == before
    said = run(project, sys.executable, "-m", "repro_hydra", "env", "verify", "--json", status=1)
    document = json.loads(said)
    assert document["ok"] is False
    (finding,) = [item for item in document["findings"] if item["severity"] == "blocks"]
    assert set(finding) == {"id", "severity", "message", "remedy"}
    assert "env export --from" in finding["remedy"]

    # a sweep is refused at once, too; with a reason it runs, and its jobs say so
    train(project, "-m", "+repro=strict", "+seed=1,2", status=1)
    waiver = "hydra.callbacks.repro.allow={environment-differs\\:packages.msgspec: known}"
    train(project, "-m", "+repro=strict", "+seed=1", waiver)
    assert json.loads((newest(project) / "run.json").read_text())["upheld"] == "waived"
    # standard says it and runs; without `verify` nobody asks; another lock can be named
    assert "packages.msgspec" in train(project, "+repro=standard")
    assert "packages.msgspec" not in train(
        project, "+repro=strict", "hydra.callbacks.repro.environment.verify=false"
    )
    write_lock(project / "other.json", good)
    train(project, "+repro=strict", "hydra.callbacks.repro.environment.lock=other.json")
    file.unlink()


def test_a_named_lock_must_be_there(project: Path) -> None:
    """Strict fails closed on a lock that is missing or damaged; an export that there is none of is a mistake."""
    said = train(project, "+repro=strict", "hydra.callbacks.repro.environment.lock=nowhere.json", status=1)
    assert "[environment-lock]" in said
    assert "env snapshot -o" in said
    (project / "half.json").write_text('{"schema": "1.0", ')
    train(project, "+repro=strict", "hydra.callbacks.repro.environment.lock=half.json", status=1)
    said = train(project, "+repro=strict", "hydra.callbacks.repro.environment.exports=[nix]", status=2)
    assert "expected some of requirements, pylock, conda, dockerfile, found 'nix'" in said


def test_setup_replaces_no_file_of_the_user_s(project: Path) -> None:
    """Before anything is written: a Dockerfile of somebody's own stays."""
    folder = project / "own"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\n")
    setup = ("env", "setup", "--folder", "own")
    said = ours(project, *setup, status=1)
    assert "own/Dockerfile" in said
    assert sorted(path.name for path in folder.iterdir()) == ["Dockerfile"]
    assert not (project / "repro-lock.json").exists()
    ours(project, *setup, "--force")
    assert "made by repro-hydra" in (folder / "Dockerfile").read_text()
    ours(project, *setup)  # what it wrote itself it replaces
    (project / "repro-lock.json").unlink()


def test_a_secret_of_the_environment_stands_nowhere_in_the_record(project: Path) -> None:
    """Under a name that gives nothing away, in a list, on the command line, in the message and the traceback."""
    secret = "correct-horse-17-battery"
    os.environ["EXPERIMENT_TOKEN"] = secret
    try:
        said = train_failing(
            project, "+login=${oc.env:EXPERIMENT_TOKEN}", f"+who=[me,{secret}]", f"+note_={secret}"
        )
    finally:
        del os.environ["EXPERIMENT_TOKEN"]
    assert secret in said  # the task itself printed it: the record is ours, the terminal is not
    record = newest(project)
    for file in record.rglob("*"):
        assert file.is_dir() or secret.encode() not in file.read_bytes(), file
    error = json.loads((record / "run.json").read_text())["error"]
    assert error["message"] == "the server does not know [redacted]"


def train_failing(top: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "train.py", "+repro=standard", *arguments],
        cwd=top,
        env=os.environ | {"HOME": str(top.parent), "XDG_STATE_HOME": str(top.parent / "state")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    return done.stdout + done.stderr


def test_the_distributions_of_this_environment_can_all_be_pinned() -> None:
    """Nothing that is installed here is left out of the exports."""
    from repro_hydra.environment.pins import pins_of

    pins = pins_of(list_distributions())
    assert pins.problems == ()
